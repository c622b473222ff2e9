-- Minting is a sixth faster without the block-range index on run_no: PostgreSQL 15 visits two of its pages for every row that
-- comes in. A chunk's row says in which range of codes its codes stand, so they are found by the primary key.

drop index if exists codes_run_no;
