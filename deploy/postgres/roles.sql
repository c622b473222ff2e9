-- Seven roles, each with no more rights than it needs. Nobody logs in as one of them; make users their members instead:
--   create role mint login password '...' in role codemint_generator;
-- Run this file in the store's database as a role that may create roles, and again after each `codemint migrate`:
--   psql --single-transaction -v ON_ERROR_STOP=1 -f roles.sql postgres://admin@db/shop
-- Nobody but codemint_owner may delete codes: members of it run `jobs withdraw`, the only command that does.
-- Run `codemint migrate` itself as a member of codemint_owner, created once the part above the line has been run:
--   create role migrate login password '...' in role codemint_owner;
--   alter role migrate set role codemint_owner; -- so that the tables belong to the role, not to the user who creates them

select format('create role %I', name)
  from unnest(array['codemint_owner', 'codemint_generator', 'codemint_reader', 'codemint_producer', 'codemint_marketer',
                    'codemint_redeemer', 'codemint_server']) name
 where not exists (select from pg_roles where rolname = name)
\gexec
-- The HTTP API does everything that marketing and redeeming do.
select format('grant %I to %I', name, 'codemint_server')
  from unnest(array['codemint_marketer', 'codemint_redeemer']) name
 where not pg_has_role('codemint_server', name, 'member')
\gexec
grant usage, create on schema public to codemint_owner;

-- --------------------------------------------------------------------------------------------------------------------

grant usage on schema public
   to codemint_generator, codemint_reader, codemint_producer, codemint_marketer, codemint_redeemer, codemint_server;

-- For minting: workers, `generate`, `import`, `jobs resume`, `cancel` and `prune`. A stored code can never be changed.
grant select, insert, update on jobs, chunks, masks to codemint_generator;
grant select, insert on codes to codemint_generator;
grant select on reserved, schema_compatibility, _sqlx_migrations to codemint_generator;
grant select, insert, delete on outbox to codemint_generator;

-- Codes of restricted campaigns go to identities or into the pool.
grant select on campaigns, campaign_versions to codemint_generator;
grant select, insert, update, delete on job_identities, pool to codemint_generator;
grant select, insert on assignments, secrets to codemint_generator;
grant select, update on allowances to codemint_generator;

-- Workers expire holds whose deadline is over, and add up sums.
grant select, update on redemptions to codemint_generator;
grant select, insert, update, delete on tally_deltas to codemint_generator;
grant select, insert, update on tallies to codemint_generator;

-- For requesting codes that workers then mint: `enqueue` without a broker.
grant select, insert, update on jobs, masks to codemint_producer;
grant select, insert on chunks, outbox to codemint_producer;
grant select on codes, reserved, campaigns, campaign_versions, schema_compatibility, _sqlx_migrations to codemint_producer;

-- For marketing: `campaign` and `segment`. Codes are ordered here and minted by workers; stored codes cannot be changed.
grant select, insert, update on campaigns, segments, jobs, masks to codemint_marketer;
grant select, insert on campaign_versions, chunks, outbox, job_identities, secrets to codemint_marketer;
grant select, insert, update, delete on allowances, segment_members to codemint_marketer;
grant delete on segments to codemint_marketer;
-- A new restricted campaign takes codes of its name into its pool; a list whose job is not accepted is removed.
grant insert on pool to codemint_marketer;
grant delete on job_identities to codemint_marketer;
grant select on codes, pool, assignments, reserved, schema_compatibility, _sqlx_migrations to codemint_marketer;
grant select on redemptions to codemint_marketer;

-- For redeeming: `validate`, `redeem`, `redemption` and `identity codes`. A redemption is deleted in the transaction that inserted
-- it, if it turns out to be refused, and by `redemption prune`, which also adds up sums. `identity forget` is for members of codemint_owner.
grant select, insert, update, delete on redemptions to codemint_redeemer;
grant select, insert, update on allowances to codemint_redeemer;
grant select, insert on secrets to codemint_redeemer;
grant select, insert, update on tallies to codemint_redeemer;
grant select, insert, update, delete on tally_deltas to codemint_redeemer;
grant insert on outbox to codemint_redeemer;
grant select on codes, chunks, masks, campaigns, campaign_versions, assignments, segments, segment_members to codemint_redeemer;
grant select on schema_compatibility, _sqlx_migrations to codemint_redeemer;

-- For the HTTP API: its keys, beside what it may do as a member of other roles. What a key permits can never be changed. `keys` on
-- the command line is for members of codemint_owner or of this role.
grant select, insert (id, name, digest, scopes, expires_at), update (revoked_at, last_used_at) on api_keys to codemint_server;
-- People of the console with their sessions and invitations. What a session or an invitation is for can never be changed. `users` on the
-- command line is for members of codemint_owner or of this role.
grant select, insert (id, login, password_hash, role), update (password_hash, role, generation, signed_in_at), delete on users
   to codemint_server;
grant select, insert, update (seen_at), delete on sessions to codemint_server;
grant select, insert, update (used_at), delete on invitations to codemint_server;
-- A request binds a code of a pool to an identity.
grant update, delete on pool to codemint_server;
grant insert on assignments to codemint_server;
-- A request cancels a job: its open chunks are skipped.
grant update (state) on chunks to codemint_server;

-- Triggers issue codes, by message in workers and by the HTTP API, and referrals reward those who brought friends.
grant select, insert, update on triggers, trigger_results, referrers, referrals to codemint_generator, codemint_server;
-- `trigger prune`. PostgreSQL locks rows only for those who may update a column.
grant select, delete, update (at) on triggers to codemint_redeemer;
grant select on trigger_results to codemint_redeemer;
grant update (revoked_at, cause, trigger_id) on assignments to codemint_generator, codemint_redeemer;
grant select on segments, segment_members to codemint_generator;
grant select, insert, update on referrers, referrals to codemint_redeemer;
grant select, insert, update, delete on pool to codemint_redeemer;
grant insert on assignments to codemint_redeemer;
-- The affiliate team's rules, and what processes keep of them in memory.
grant select, insert, update, delete on affiliate_rules, affiliate_exclusions, affiliate_exclusion_changes to codemint_marketer;
grant select, update on kept_versions to codemint_marketer;
grant select on affiliate_rules, affiliate_exclusions, affiliate_exclusion_changes, kept_versions to codemint_redeemer;
-- Clicks on links are counted; `report recount` compares them with their sums, and `redemption prune --dry-run` counts them.
grant select, insert on clicks to codemint_server;
grant select, delete on clicks to codemint_redeemer;
grant select on clicks to codemint_generator, codemint_reader, codemint_marketer;
grant select on triggers, trigger_results, referrers, referrals, affiliate_rules, affiliate_exclusions to codemint_reader, codemint_marketer;

-- What became of a campaign is summed up.
grant select on tallies, tally_deltas to codemint_generator, codemint_reader, codemint_producer, codemint_marketer;

-- For the audit log, in which every action is recorded: roles may insert rows and nothing else. The number, the time and the
-- role of a row come from the database: nobody may set them.
grant select on audit to codemint_generator, codemint_reader, codemint_producer, codemint_marketer;
grant insert (actor, action, job_id, mask, count, campaign, result, detail, digest) on audit
   to codemint_generator, codemint_reader, codemint_producer, codemint_marketer, codemint_redeemer;

-- For reading: `jobs list`, `jobs show`, `export`, `verify`. No key of a job, neither here nor for redeeming: that of an unfinished
-- job reveals all of its codes.
grant select on chunks, masks, codes, reserved, outbox, schema_compatibility, _sqlx_migrations to codemint_reader;
grant select on campaigns, campaign_versions, allowances, assignments, pool, segments, redemptions to codemint_reader;
do $$
begin
    execute (select format('grant select (%s) on jobs to codemint_reader, codemint_redeemer', string_agg(quote_ident(attname), ', '))
               from pg_attribute
              where attrelid = 'jobs'::regclass and attnum > 0 and not attisdropped and attname <> 'key');
end $$;
