//! What surrounds each page: its sections, and who has signed in.

use codemint_campaigns::people::Visitor;
use codemint_offers::access::role::Permission;
use codemint_offers::access::session::FormToken;

/// The path, the name and the permission of a section.
type Place = (&'static str, &'static str, Permission);

/// The sections in the order of the navigation, each group with its heading.
const GROUPS: [(&str, &[Place]); 4] = [
    (
        "Offers",
        &[
            ("campaigns", "Campaigns", Permission::ViewCampaigns),
            ("segments", "Segments", Permission::ViewCampaigns),
            ("affiliates", "Affiliates", Permission::ViewCampaigns),
            ("referrals", "Referrals", Permission::ViewReferrals),
        ],
    ),
    (
        "Customers",
        &[("codes", "Find a code", Permission::FindCodes), ("redemptions", "Redemptions", Permission::ViewRedemptions)],
    ),
    ("Results", &[("reports", "Reports", Permission::ViewReports), ("jobs", "Jobs", Permission::ViewJobs)]),
    (
        "Administration",
        &[
            ("people", "People", Permission::ManagePeople),
            ("keys", "API keys", Permission::ManageKeys),
            ("audit", "Audit log", Permission::ViewAudit),
            ("system", "System", Permission::ViewSystem),
        ],
    ),
];

/// What the templates of all pages need.
#[derive(Clone, Debug)]
pub struct Frame {
    pub login: String,
    pub role: &'static str,
    /// Each form of the page carries it.
    pub form_token: String,
    pub groups: Vec<Group>,
    pub style: &'static str,
    pub script: &'static str,
    /// What the last form has done.
    pub notice: Option<&'static str>,
}

/// Sections that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    pub title: &'static str,
    pub sections: Vec<Section>,
}

#[derive(Clone, Debug)]
pub struct Section {
    pub path: String,
    pub name: &'static str,
    pub is_current: bool,
}

impl Frame {
    /// `current` is the section that the page belongs to.
    pub fn new(visitor: &Visitor, form_token: &FormToken, current: &str) -> Self {
        let section =
            |(path, name, _): &Place| Section { path: format!("/{path}"), name, is_current: *path == current };
        let groups = GROUPS.iter().map(|(title, sections)| {
            let shown = sections.iter().filter(|(_, _, permission)| visitor.role.permits(*permission));
            Group { title, sections: shown.map(section).collect() }
        });
        Self {
            groups: groups.filter(|group| !group.sections.is_empty()).collect(),
            login: visitor.login.to_string(),
            role: visitor.role.into(),
            form_token: form_token.text(),
            ..Self::of_nobody()
        }
    }

    /// Returns the frame of a page that needs no session.
    pub fn of_nobody() -> Self {
        Self {
            login: String::new(),
            role: "",
            form_token: String::new(),
            groups: Vec::new(),
            style: crate::console::assets::STYLE,
            script: crate::console::assets::SCRIPT,
            notice: None,
        }
    }

    /// Adds what the last form has done, which the query names: one of these names.
    pub fn with_notice(mut self, done: Option<&str>, notices: &[(&str, &'static str)]) -> Self {
        self.notice = notices.iter().find(|(name, _)| Some(*name) == done).map(|(_, notice)| *notice);
        self
    }
}
