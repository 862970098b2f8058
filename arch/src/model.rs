//! What the CPU models of all guests have in common: sets of features that hold together what belongs
//! together, and how the text of `--cpu` is read.

use std::fmt;
use std::marker::PhantomData;

/// The features of a guest: 128 at most.
pub trait FeatureTable: Copy + Eq + 'static {
    /// Every feature.
    const ALL: &'static [Self];

    /// Its place in [`FeatureTable::ALL`].
    fn index(self) -> u32;

    /// What it cannot be without.
    fn needs(self) -> &'static [Self];

    /// A set with the features that follow from several others together.
    #[must_use]
    fn completed(set: FeatureSet<Self>) -> FeatureSet<Self> {
        set
    }
}

/// A set of features. With a feature it always holds all that this one needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeatureSet<F>(u128, PhantomData<F>);

impl<F> FeatureSet<F> {
    /// No feature.
    pub const EMPTY: Self = Self(0, PhantomData);
}

impl<F: FeatureTable> FeatureSet<F> {
    /// Whether it holds this one.
    #[must_use]
    pub fn contains(self, feature: F) -> bool {
        self.0 >> feature.index() & 1 != 0
    }

    /// The set with this feature and what it needs.
    #[must_use]
    pub fn with(self, feature: F) -> Self {
        let set = self.with_only(feature);
        F::completed(feature.needs().iter().fold(set, |set, &needed| set.with(needed)))
    }

    /// The set with this feature, whatever it needs: for [`FeatureTable::completed`].
    #[must_use]
    pub fn with_only(self, feature: F) -> Self {
        Self(self.0 | 1 << feature.index(), PhantomData)
    }

    /// The set without this feature and all that need it.
    #[must_use]
    pub fn without(self, feature: F) -> Self {
        let set = Self(self.0 & !(1 << feature.index()), PhantomData);
        let dependents = F::ALL.iter().filter(|other| other.needs().contains(&feature));
        dependents.fold(
            set,
            |set, &dependent| {
                if set.contains(dependent) { set.without(dependent) } else { set }
            },
        )
    }

    /// A bit for each feature, by its place in the table.
    #[must_use]
    pub fn bits(self) -> u128 {
        self.0
    }

    /// The set that [`FeatureSet::bits`] gave the bits of.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(bits, PhantomData)
    }

    /// The features, in the order of their table.
    pub fn iter(self) -> impl Iterator<Item = F> {
        F::ALL.iter().copied().filter(move |&feature| self.contains(feature))
    }
}

impl<F> Default for FeatureSet<F> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<F: FeatureTable> FromIterator<F> for FeatureSet<F> {
    fn from_iter<I: IntoIterator<Item = F>>(features: I) -> Self {
        features.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl<F: FeatureTable + fmt::Debug> fmt::Debug for FeatureSet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The model's name in the text of `--cpu`, if it begins with one, and the properties after it.
pub(crate) fn split_model(text: &str) -> (Option<&str>, impl Iterator<Item = &str>) {
    let mut parts = text.split(',').map(str::trim).peekable();
    let name = parts.next_if(|part| !part.starts_with(['+', '-']) && !part.contains('='));
    (name, parts)
}

/// A property, as a feature's name and whether it is on: `lse`, `+lse`, `-lse`, `lse=on`, `lse=false`, …;
/// `None` if it is neither on nor off.
pub(crate) fn parse_property(property: &str) -> Option<(&str, bool)> {
    match (property.split_once('='), property.strip_prefix('-')) {
        (Some((name, "on" | "true")), _) => Some((name, true)),
        (Some((name, "off" | "false")), _) => Some((name, false)),
        (Some(_), _) => None,
        (None, Some(name)) => Some((name, false)),
        (None, None) => Some((property.strip_prefix('+').unwrap_or(property), true)),
    }
}
