//! The dialogs of a call, as GET shows them.

use super::{Bridge, Role};
use crate::call::leg::Leg;
use crate::call::progress::ShownDialog;
use crate::ident::{Key, Table};

impl Bridge {
    /// All its dialogs, the calling party's first.
    pub(crate) fn shown<'a>(&'a self, legs: &'a Table<Leg>) -> Vec<ShownDialog<'a>> {
        let target = self.joining.as_ref().map_or(Role::Called, |joining| joining.role());
        let parties = [(self.calling, Role::Calling), (self.called, Role::Called), (self.fresh(), target)];
        let parties = parties.into_iter().filter_map(|(leg, role)| Some((leg?, role)));
        let leaving = self.leaving.iter().filter(|leaving| leaving.is_shown());
        let leaving = leaving.map(|leaving| (leaving.leg, leaving.role));
        let live = parties.chain(leaving).filter_map(|(leg, role)| Some((role, legs.get(leg)?.shown())));
        let parted = self.parted.iter().map(|(role, parted)| (*role, parted.shown()));
        let mut all: Vec<(Role, ShownDialog<'_>)> = live.chain(parted).collect();
        all.sort_by_key(|(role, _)| *role);
        all.into_iter().map(|(_, dialog)| dialog).collect()
    }

    /// The legs that are this call's.
    pub(crate) fn legs(&self) -> impl Iterator<Item = Key<Leg>> {
        let leaving = self.leaving.iter().map(|leaving| leaving.leg);
        [self.calling, self.called, self.fresh()].into_iter().flatten().chain(leaving)
    }
}
