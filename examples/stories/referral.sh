#!/bin/sh
# A story of referrals: three generations, a person who tries their own code, a friend who comes twice, a refund, and a reward.
# Needs `codemint` on PATH; works in a temporary folder, and checks itself.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
store="sqlite://$folder/story.db"

run() { codemint --store "$store" "$@"; }
fail() { echo "The story went wrong: $1" >&2; exit 1; }
# Returns a text or a number of a JSON object by its name.
field() { tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
# Uses a code as somebody; prints the answer, also of a refusal.
use() { run redeem "$1" --identity "$2" --json || [ $? -eq 3 ] || fail "no answer to $2"; }
granted() { use "$1" "$2" >answer.json; grep -q '"confirmed"' answer.json || fail "$2 got no discount"; }
refused() { use "$1" "$2" >answer.json; grep -q "\"$3\"" answer.json || fail "$2 was not refused with $3"; }

cat >thanks.json <<'END'
{ "name": "Thanks", "title": "Thank you", "kind": "restricted", "active": true, "mask": "THANKS-[:safe:]{8}",
  "discount": { "effect": { "type": "amount", "amount": 500, "currency": "EUR" }, "target": { "type": "order" } } }
END
cat >friends.json <<'END'
{ "name": "Friends", "title": "Bring a friend", "kind": "private", "purpose": "referral", "active": true,
  "mask": "FRIEND-[:safe:]{8}", "limits": { "per_identity": 1 },
  "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
  "referral": { "reward_campaign": "Thanks", "max_codes_per_referrer": 10,
    "forward_template": "{{discount}} off for you: {{code}}" } }
END
for campaign in thanks friends; do run campaign create "$campaign.json" >/dev/null; done
run campaign codes Thanks --count 10 >/dev/null 2>&1
run campaign codes Friends --count 100 >/dev/null 2>&1

echo "The shop gives Ann a code, and a text to forward."
run referral add Friends ann.lee@gmail.com --json >ann.json
ann=$(field id <ann.json)
ann_code=$(field code <ann.json)
[ "$(field forward_text <ann.json)" = "10 % off for you: $ann_code" ] || fail "the text to forward is another one"

echo "Ann tries her own code, with a plus and without the dot."
refused "$ann_code" annlee+friend@googlemail.com self-referral

echo "Bob uses Ann's code and gets one of his own; so does Cid with Bob's."
granted "$ann_code" bob@example.org
bob=$(field id <answer.json)
bob_code=$(field issued_code <answer.json)
granted "$bob_code" cid@example.org
cid=$(field id <answer.json)
cid_code=$(field issued_code <answer.json)
refused "$cid_code" a.n.n.lee@gmail.com self-referral
run referral tree Friends >tree.txt
[ "$(wc -l <tree.txt)" -eq 3 ] || fail "there are not three generations"

echo "Bob comes once more, under another spelling."
refused "$ann_code" bob+again@example.org identity-limit-reached

echo "A worker thanks Ann and Bob."
rewarded() { run referral show "$1" --json | tr -d '\n ' | grep -q '"rewarded":1'; }
looks=0
until rewarded "$ann"; do
    [ "$looks" -lt 10 ] || fail "nobody was rewarded"
    CODEMINT__ADMIN__LISTEN=off run worker --drain >/dev/null 2>&1
    looks=$((looks + 1))
done
reward=$(run referral show "$ann" --json | field reward_code)
run validate "$reward" --identity ann.lee@gmail.com >/dev/null || fail "the reward is not valid"

echo "Bob sends everything back: the referral is void, and the reward is no longer valid."
run redemption rollback "$bob" >/dev/null
run redemption show "$bob" --json | tr -d '\n ' | grep -q '"referral":{"state":"void"}' || fail "the referral is not void"
run validate "$reward" --identity ann.lee@gmail.com >/dev/null && fail "the reward is still valid"

echo "What Cid bought stays as it was, and Dan may still use Bob's code."
run redemption show "$cid" --json | tr -d '\n ' | grep -q '"state":"rewarded"' || fail "Bob has lost Cid"
granted "$bob_code" dan@example.org

echo "The story ended well."
