//! What a server says about itself without being asked: is it a standby, is it fenced?
//!
//! Since version 14 both facts are reported at login and, when they change, just before the next ReadyForQuery
//! (`GUC_REPORT` in `src/backend/utils/misc/guc.c`). So the role is known without any query.

/// What a server may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Out of recovery, and new transactions may write.
    Primary,
    /// Out of recovery, but new transactions are read-only: a demoted primary, or one that is not yet released.
    Fenced,
    /// In recovery.
    Standby,
    /// The server does not say.
    #[default]
    Unknown,
}

impl Role {
    /// A number from 1 for each.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Primary => 1,
            Self::Fenced => 2,
            Self::Standby => 3,
            Self::Unknown => 4,
        }
    }

    /// The word JS sees.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Fenced => "fenced",
            Self::Standby => "standby",
            Self::Unknown => "unknown",
        }
    }
}

/// The two reported settings of one session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reported {
    standby: Option<bool>,
    read_only: Option<bool>,
    /// What a query has shown, of a server that does not report.
    asked: Option<Role>,
}

impl Reported {
    /// What was reported during start-up.
    #[must_use]
    pub fn at_login(parameters: &[(String, String)]) -> Self {
        let mut reported = Self::default();
        for (name, value) in parameters {
            reported.note(name, value);
        }
        reported
    }

    /// Takes a reported setting; others are ignored.
    pub fn note(&mut self, name: &str, value: &str) {
        match name {
            "in_hot_standby" => self.standby = Some(value == "on"),
            "default_transaction_read_only" => self.read_only = Some(value == "on"),
            _ => {}
        }
    }

    /// What follows from them.
    #[must_use]
    pub const fn role(self) -> Role {
        match (self.standby, self.read_only) {
            (Some(true), _) => Role::Standby,
            (Some(false), Some(true)) => Role::Fenced,
            (Some(false), Some(false)) => Role::Primary,
            _ => match self.asked {
                Some(role) => role,
                None => Role::Unknown,
            },
        }
    }

    /// Does the server report by itself?
    #[must_use]
    pub const fn reports(self) -> bool {
        self.standby.is_some() && self.read_only.is_some()
    }

    /// A query has shown what the server does not report.
    pub const fn shown(&mut self, role: Role) {
        self.asked = Some(role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(pairs: &[(&str, &str)]) -> Role {
        let owned: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Reported::at_login(&owned).role()
    }

    #[test]
    fn the_role_follows_from_two_settings() {
        let (standby, fence) = ("in_hot_standby", "default_transaction_read_only");
        assert_eq!(login(&[(standby, "off"), (fence, "off")]), Role::Primary);
        assert_eq!(login(&[(fence, "on"), (standby, "off")]), Role::Fenced);
        assert_eq!(login(&[(standby, "on"), (fence, "off")]), Role::Standby);
        assert_eq!(login(&[(standby, "on"), (fence, "on")]), Role::Standby);
        assert_eq!(login(&[(fence, "off")]), Role::Unknown);
        assert_eq!(login(&[("server_version", "13.1")]), Role::Unknown);
    }

    #[test]
    fn a_later_report_changes_it() {
        let mut reported = Reported::default();
        reported.note("in_hot_standby", "on");
        reported.note("default_transaction_read_only", "off");
        assert_eq!(reported.role(), Role::Standby);
        reported.note("in_hot_standby", "off");
        assert_eq!(reported.role(), Role::Primary);
    }
}
