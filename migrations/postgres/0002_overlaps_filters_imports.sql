-- Never a duplicate, never a wrong count: what says which codes may exist already.
--
-- `masks` lists the masks in use, so that a job learns without reading a code which others it can meet. Every run keeps a
-- Bloom filter of its codes, written with them. `reserved` holds masks whose codes belong to somebody else. A job may
-- be an import: then it has no mask and no key, its runs have masks of their own, and codes that existed already are
-- no shortfall.

create table masks (
    mask_no bigint generated always as identity primary key,
    mask text not null unique,
    code_length integer not null,
    -- First and last code of the mask: masks whose ranges do not meet cannot share a code.
    first_code text collate "C" not null,
    last_code text collate "C" not null,
    -- What its jobs hold or may still mint: never too few.
    codes bigint not null check (codes >= 0)
);

create index masks_by_range on masks (code_length, first_code, last_code);

-- The slices of round 0 partition the keyspace, so they tell its first and last code.
insert into masks (mask, code_length, first_code, last_code, codes)
select j.canonical_mask, min(length(r.first_code)), min(r.first_code), max(r.last_code), sum(coalesce(j.minted, j.count))
  from jobs j
  join (select job_no, min(range_first) as first_code, max(range_last) as last_code
          from chunks where round = 0 group by job_no) r on r.job_no = j.no
 group by j.canonical_mask;

alter table jobs
    add column kind text not null default 'mint' check (kind in ('mint', 'import')),
    add column mask_no bigint references masks (mask_no),
    -- What decides about codes besides the mask: a process with another key or list leaves the job alone.
    add column check_fingerprint text,
    add column deny_digest bytea,
    -- Of an import: the SHA-256 of what was read.
    add column source_digest bytea,
    add column conflicts bigint,
    add column reserved bigint,
    add column denied bigint,
    add column false_positives bigint,
    alter column mask drop not null,
    alter column canonical_mask drop not null,
    drop constraint jobs_check,
    drop constraint jobs_check2,
    add constraint jobs_key_erased check (((state in ('cancelled', 'completed', 'failed')) or kind = 'import') = (key is null)),
    add constraint jobs_completed_in_full check (state <> 'completed' or minted + case kind when 'import' then rejected else 0 end = count),
    add constraint jobs_kind_complete check ((kind = 'import') = (mask is null) and (kind = 'import') = (source_digest is not null));

update jobs j set mask_no = m.mask_no from masks m where m.mask = j.canonical_mask;

alter table chunks
    add column mask_no bigint references masks (mask_no),
    -- How the candidates were compared with what exists.
    add column screening text,
    -- `rejected` counts all of them; the rest were found to exist before they were written.
    add column conflicts integer not null default 0,
    add column reserved integer not null default 0,
    add column denied integer not null default 0,
    add column false_positives integer not null default 0,
    add column filter bytea;

-- Random bits do not compress.
alter table chunks alter column filter set storage external;

update chunks c set mask_no = j.mask_no from jobs j where j.no = c.job_no;
alter table chunks alter column mask_no set not null;

-- A done run's range is the range of its codes: a run of one code is told by its range, and needs no filter.
create index chunks_runs on chunks (mask_no, range_first, range_last) where minted > 0 and range_first < range_last;
create index chunks_single_codes on chunks (mask_no, range_first) where minted > 0 and range_first = range_last;

create table reserved (
    mask text primary key,
    code_length integer not null,
    note text,
    created_at timestamptz not null default now()
);
