#!/bin/sh
# A flower shop gives chocolate to the customers of its affiliates. Every reference of ten digits that begins with 0 gets the offer,
# but some 500 affiliates have other contracts. The team keeps the exceptions itself, and nobody writes a list of all affiliates.
# Needs `codemint` on PATH; works in a folder of its own that it removes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CODEMINT__STORE__URL="sqlite://$folder/shop.db"

fail() {
    echo "NOT AS TOLD: $1" >&2
    exit 1
}

# Compares what `codemint affiliate resolve` says about a reference.
expect() {
    said=$(codemint affiliate resolve "$1")
    [ "$said" = "$2" ] || fail "$1 became '$said' instead of '$2'"
    echo "  $said"
}

echo "1. The campaign choc, and a rule with the prefix FCH in two periods"
cat > choc.json <<'END'
{ "name": "choc", "title": "Chocolate with every bouquet", "kind": "private", "active": true, "mask": "CHOC-[:safe:]{8}",
  "discount": { "effect": { "type": "amount", "amount": 500, "currency": "EUR" }, "target": { "type": "order" } } }
END
cat > rule.json <<'END'
{ "mask": "0#########", "prefix": "FCH", "campaign": "choc",
  "periods": [ { "from": "2020-02-01T00:00:00+01:00", "to": "2020-02-15T00:00:00+01:00" },
               { "from": "2026-01-01T00:00:00+01:00", "to": null } ] }
END
codemint --quiet campaign create choc.json
codemint affiliate rule set choc-2027 rule.json

echo "2. Affiliates with other contracts: 500 of them, from a spreadsheet"
echo "reference,affiliate,promotion,note" > exclusions.csv
number=0
while [ "$number" -lt 500 ]; do
    printf '0%09d,Affiliate %d,FGV,own contract\n' "$((555000000 + number))" "$number" >> exclusions.csv
    number=$((number + 1))
done
codemint affiliate exclusion replace choc-2027 exclusions.csv

echo "3. What the shop gets for a reference"
expect 0123456789 "FCH0123456789  rule choc-2027, campaign choc"
expect FCH0123456789 "FCH0123456789  rule choc-2027, campaign choc"
expect 0555000007 "0555000007  unchanged: excluded"
expect 1123456789 "1123456789  unchanged: no-rule"

echo "4. The team excludes one more affiliate, and includes another again"
codemint affiliate exclusion add choc-2027 0123456789 --affiliate "Rose Ltd" --promotion FGV --note "as of today"
codemint affiliate exclusion remove choc-2027 0555000007
expect 0123456789 "0123456789  unchanged: excluded"
expect 0555000007 "FCH0555000007  rule choc-2027, campaign choc"
count=$(codemint affiliate exclusion export choc-2027 | tail -n +2 | wc -l)
[ "$count" -eq 500 ] || fail "$count exclusions instead of 500"

echo "5. The team switches the offer off, and on again"
codemint affiliate rule off choc-2027
expect 0666666666 "0666666666  unchanged: not-active"
codemint affiliate rule on choc-2027
expect 0666666666 "FCH0666666666  rule choc-2027, campaign choc"

echo "done: all is as told"
