//! The ladder.

use serde::{Deserialize, Serialize};

/// A way of asking; each adds a part to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The question alone; the answer is asked for at once.
    ZeroShot,
    /// Few-shot with randomly drawn examples and their answers.
    RandomFewShot,
    /// Few-shot with the nearest examples and their answers.
    NearestFewShot,
    /// Few-shot with the nearest examples and their thoughts; a thought is asked for, too.
    NearestThoughts,
    /// Few-shot with thoughts for several orders of the choices, whose answers vote.
    Ensemble,
}

/// A rung, with examples as they are or compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arm {
    /// The rung.
    pub rung: Rung,
    /// Whether its examples are compressed.
    pub compressed: bool,
}

impl Rung {
    /// Returns the name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::RandomFewShot => "random few-shot",
            Self::NearestFewShot => "nearest few-shot",
            Self::NearestThoughts => "+ chain of thought",
            Self::Ensemble => "+ ensemble",
        }
    }

    /// Returns whether a chain of thought is shown and asked for.
    #[must_use]
    pub fn reasons(self) -> bool {
        matches!(self, Self::NearestThoughts | Self::Ensemble)
    }
}

impl Arm {
    /// All, from the bottom up: there is nothing to compress without examples.
    pub const ALL: [Self; 9] = {
        use Rung::{Ensemble, NearestFewShot, NearestThoughts, RandomFewShot, ZeroShot};
        const fn arm(rung: Rung, compressed: bool) -> Arm {
            Arm { rung, compressed }
        }
        [
            arm(ZeroShot, false),
            arm(RandomFewShot, false),
            arm(NearestFewShot, false),
            arm(NearestThoughts, false),
            arm(Ensemble, false),
            arm(RandomFewShot, true),
            arm(NearestFewShot, true),
            arm(NearestThoughts, true),
            arm(Ensemble, true),
        ]
    };
}
