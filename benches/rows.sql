-- Bytes of a row of each table that grows with use, in the table and in its indexes, for docs/capacity.md. Run it in a database that
-- `codemint migrate` has just created, and that may be dropped afterwards:
--   psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --file benches/rows.sql postgres://owner@db/empty
-- Codes have 16 characters, identities are digests of 32 characters beside a text of 20, and keys arrive in a random order.
\set rows 200000
set synchronous_commit = off;

insert into campaigns (name, kind, active, version) values ('capacity', 'restricted', true, 1);
\set campaign '(select min(no) from campaigns)'

create temporary table made as
select n, md5('identity' || n) as identity, 'customer-' || lpad(n::text, 11, '0') as identity_text,
       'SPR-' || upper(substr(md5('code' || n), 1, 12)) as code, md5('id' || n)::uuid as id,
       now() - n * interval '1 second' as at
  from generate_series(1, :rows) n order by md5(n::text);

insert into assignments (campaign_no, identity, code, identity_text, cause)
select :campaign, identity, code, identity_text, 'list' from made;
insert into pool (campaign_no, code) select :campaign, code from made;
insert into allowances (campaign_no, scope, subject, quota, taken) select :campaign, 'code', code, 1, 1 from made;
insert into segments (name) values ('gold');
insert into segment_members (segment, identity) select 'gold', identity from made;
insert into triggers (id, request_digest, type, identity, identity_text, payload)
select 'order-' || n, sha256(identity::bytea), 'order', identity, identity_text, '{"total": 4990, "currency": "EUR"}' from made;
insert into trigger_results (trigger_id, campaign_no, identity, state, code)
select 'order-' || n, :campaign, identity, 'issued', code from made;
insert into clicks (id, campaign_no, source, ad, day, at) select id, :campaign, 'newsletter', 'banner-7', at::date, at from made;
insert into referrers (id, campaign_no, address, address_text, code, depth, request_digest)
select id, :campaign, identity, identity_text, 'R' || code, 0, sha256(identity::bytea) from made;
insert into referrals (redemption_id, campaign_no, referrer_id, referee, state)
select id, :campaign, id, identity, 'rewarded' from made;
insert into audit (actor, action, job_id, mask, count, campaign, result)
select 'marketing', 'request', id, 'SPRING-[:safe:]{9}', 1000, 'spring', 'accepted' from made;
insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
select :campaign, date '2026-01-01' + n / 2000, 'source-' || n % 50, 'ad-' || n % 2000 / 50, '', '', 'redeemed', n from made;
insert into outbox (message_id, message_type, routing_key, payload)
select id, 'codemint.redemption.confirmed.v1', 'redemption.confirmed', repeat('x', 500) from made;

vacuum analyze;
select c.relname as "table", round(pg_table_size(c.oid)::numeric / :rows, 1) as "bytes of a row",
       round(pg_indexes_size(c.oid)::numeric / :rows, 1) as "of its index entries"
  from pg_class c
 where c.relkind = 'r' and c.relname in ('assignments', 'pool', 'allowances', 'segment_members', 'triggers', 'trigger_results', 'clicks',
                                         'referrers', 'referrals', 'audit', 'tallies', 'outbox')
 order by c.relname;
