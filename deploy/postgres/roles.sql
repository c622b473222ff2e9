-- Four roles, each with no more than it needs. Nobody logs in as one of them: users are made members, as in
--   create role mint login password '...' in role codemint_generator;
-- To be run in the store's database by a role that may create roles, again after each `codemint migrate`:
--   psql --single-transaction -v ON_ERROR_STOP=1 -f roles.sql postgres://admin@db/shop
-- `codemint bench` removes what it wrote, so it is run by a member of codemint_owner: nobody else may delete codes.
-- `codemint migrate` itself is run by a member of codemint_owner, made once what is above the line has been run:
--   create role migrate login password '...' in role codemint_owner;
--   alter role migrate set role codemint_owner; -- so that the tables belong to the role, whoever makes them

select format('create role %I', name)
  from unnest(array['codemint_owner', 'codemint_generator', 'codemint_reader', 'codemint_producer']) name
 where not exists (select from pg_roles where rolname = name)
\gexec
grant usage, create on schema public to codemint_owner;

-- --------------------------------------------------------------------------------------------------------------------

grant usage on schema public to codemint_generator, codemint_reader, codemint_producer;

-- Whoever mints: workers, `generate`, `import`, `jobs resume`, `cancel` and `prune`. A code that was stored stays as it is.
grant select, insert, update on jobs, chunks, masks to codemint_generator;
grant select, insert on codes to codemint_generator;
grant select on reserved, schema_compatibility, _sqlx_migrations to codemint_generator;
grant select, insert, delete on outbox to codemint_generator;

-- Whoever asks for codes and leaves them to workers: `enqueue` without a broker.
grant select, insert, update on jobs, masks to codemint_producer;
grant select, insert on chunks, outbox to codemint_producer;
grant select on codes, reserved, schema_compatibility, _sqlx_migrations to codemint_producer;

-- Whoever does something is told of in the audit log, which takes rows and nothing else. Their number, their time and the
-- role come from the database: nobody may name them.
grant select on audit to codemint_generator, codemint_reader, codemint_producer;
grant insert (actor, action, job_id, mask, count, campaign, result, detail, digest) on audit
   to codemint_generator, codemint_reader, codemint_producer;

-- Whoever looks: `jobs list`, `jobs show`, `export`, `verify`. The key of an unfinished job tells all of its codes.
grant select on chunks, masks, codes, reserved, outbox, schema_compatibility, _sqlx_migrations
    to codemint_reader;
do $$
begin
    execute (select format('grant select (%s) on jobs to codemint_reader', string_agg(quote_ident(attname), ', '))
               from pg_attribute
              where attrelid = 'jobs'::regclass and attnum > 0 and not attisdropped and attname <> 'key');
end $$;
