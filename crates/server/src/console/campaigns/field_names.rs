//! The fields of the form of a campaign, as people read their names.

use codemint_offers::form::campaign::field_of;

/// The label of each field in the template `console/campaigns/edit.html`.
const LABELS: [(&str, &str); 43] = [
    ("name", "Name"),
    ("title", "Title"),
    ("kind", "Kind"),
    ("purpose", "Purpose"),
    ("active", "Switched on"),
    ("starts_at", "Begins"),
    ("ends_at", "Ends"),
    ("zone", "Time zone"),
    ("mask", "Mask"),
    ("per_code", "Uses of each code"),
    ("per_identity", "Uses by each identity"),
    ("redeemed", "Uses in all"),
    ("issued", "Codes issued to identities"),
    ("budget", "Budget: the sum of all discounts"),
    ("budget_currency", "Currency of the budget"),
    ("effect", "Takes off"),
    ("percent", "Percentage"),
    ("amount", "Amount"),
    ("amount_currency", "Currency"),
    ("target", "Of"),
    ("selector_skus", "Items"),
    ("selector_groups", "Groups of items"),
    ("selector_except_skus", "Except these items"),
    ("buy_skus", "Of these items"),
    ("buy_quantity", "Buy this many"),
    ("get_skus", "Of these items"),
    ("get_quantity", "Get this many"),
    ("limit_per_order", "At most this often on one order"),
    ("cap", "At most this amount off an order"),
    ("combines", "Combines with other discounts on one order"),
    ("sources", "Sources"),
    ("ads", "Ads"),
    ("affiliates", "Affiliates"),
    ("segments", "Segments"),
    ("use_cases", "Use cases"),
    ("wait_days", "Days to wait after a deactivation"),
    ("condition", "Condition"),
    ("expression", "Expression"),
    ("reward_campaign", "Campaign of the reward"),
    ("forward_template", "Text to forward"),
    ("offer_text", "Text"),
    ("image_url", "Address of a picture"),
    ("landing_url", "Page that links lead to"),
];

/// Returns the label of the field that a problem of the document belongs to, without what follows a colon.
pub fn label_of(pointer: &str) -> &'static str {
    let label = field_of(pointer).and_then(|field| LABELS.iter().find(|(name, _)| *name == field));
    label.map_or("Campaign", |(_, label)| label.split(':').next().unwrap_or(label))
}

#[cfg(test)]
mod tests {
    use codemint_offers::form::campaign::PLACES;

    use super::*;

    #[test]
    fn each_field_has_the_label_of_the_template() {
        let template = include_str!("../../../templates/console/campaigns/edit.html");
        assert_eq!(LABELS.map(|(field, _)| field), PLACES.map(|(field, _)| field));
        for (field, label) in LABELS {
            let is_there =
                [format!("form, \"{field}\", \"{label}\""), format!("<label for=\"{field}\">{label}</label>")];
            assert!(is_there.iter().any(|text| template.contains(text)), "{field}: {label}");
        }
        assert_eq!((label_of("/limits/budget/amount"), label_of("/unknown")), ("Budget", "Campaign"));
    }
}
