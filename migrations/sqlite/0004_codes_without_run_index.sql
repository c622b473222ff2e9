-- Nothing to do: there never was an index on run_no here. See the PostgreSQL migration of this number.

select 1;
