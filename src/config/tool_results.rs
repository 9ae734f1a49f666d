//! The choice of what is done to the results of tools.

use serde::{Deserialize, Serialize};

/// What is done to the results of tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolResults {
    /// Results are folded by rules, without a model; marks say what was left out.
    #[default]
    Fold,
    /// Results are compressed as users' texts are.
    Compress,
    /// Results go on as they came.
    Keep,
}

impl std::str::FromStr for ToolResults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fold" => Ok(Self::Fold),
            "compress" => Ok(Self::Compress),
            "keep" => Ok(Self::Keep),
            _ => Err("must be `fold`, `compress` or `keep`".into()),
        }
    }
}
