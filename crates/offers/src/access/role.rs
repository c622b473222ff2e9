//! Roles: what a person may do in the console.

use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::text::cut;

/// The role of a person. Each person has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", const_into_str, parse_err_ty = UnknownRole, parse_err_fn = unknown_role)]
pub enum Role {
    /// Sees campaigns, reports and jobs.
    Viewer,
    /// Runs campaigns and orders their codes.
    Marketer,
    /// The affiliate team.
    Affiliates,
    /// Helps customers: looks codes up, releases redemptions and rolls them back.
    Support,
    /// Everything, with people and keys.
    Admin,
}

/// One thing that a role permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Permission {
    ViewCampaigns,
    EditCampaigns,
    /// Ordering codes, uploading lists of identities, cancelling jobs.
    OrderCodes,
    /// Downloading codes, and seeing masks: a mask may be a code.
    ReadCodes,
    /// Looking a code up.
    FindCodes,
    ViewRedemptions,
    /// Releasing redemptions and rolling them back.
    ActOnRedemptions,
    EditAffiliates,
    EditSegments,
    ViewReferrals,
    ViewReports,
    ViewJobs,
    ViewSystem,
    ManagePeople,
    ManageKeys,
    ViewAudit,
}

/// A text that is not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role {}; write one of {}", cut(.0, 20), Role::NAMES)]
pub struct UnknownRole(String);

fn unknown_role(text: &str) -> UnknownRole {
    UnknownRole(text.to_owned())
}

impl Role {
    /// The names of all roles, for messages and helps.
    pub const NAMES: &str = "viewer, marketer, affiliates, support, admin";

    /// Returns true if people of this role see the addresses of customers in full. Others see them shortened.
    ///
    /// ```
    /// use codemint_offers::access::role::Role;
    ///
    /// assert!(Role::Support.sees_addresses() && Role::Admin.sees_addresses());
    /// assert!(!Role::Marketer.sees_addresses() && !Role::Viewer.sees_addresses());
    /// ```
    pub const fn sees_addresses(self) -> bool {
        matches!(self, Self::Support | Self::Admin)
    }

    /// Returns true if people of this role may do this.
    pub const fn permits(self, permission: Permission) -> bool {
        use Permission as P;
        match permission {
            P::ViewCampaigns | P::ViewReports | P::ViewJobs => true,
            P::EditCampaigns | P::OrderCodes | P::ReadCodes | P::EditSegments => {
                matches!(self, Self::Marketer | Self::Admin)
            }
            P::FindCodes | P::ViewRedemptions | P::ViewReferrals => {
                matches!(self, Self::Marketer | Self::Support | Self::Admin)
            }
            P::ActOnRedemptions | P::ViewSystem => matches!(self, Self::Support | Self::Admin),
            P::EditAffiliates => matches!(self, Self::Affiliates | Self::Marketer | Self::Admin),
            P::ManagePeople | P::ManageKeys | P::ViewAudit => matches!(self, Self::Admin),
        }
    }
}
