//! The real binary on the real model, which the first run fetches into the ordinary cache.

#[cfg(test)]
mod compress;
#[cfg(test)]
mod config;
#[cfg(test)]
mod eval;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod files;
#[cfg(test)]
mod index;
#[cfg(test)]
#[path = "../shared/made.rs"]
mod made;
#[cfg(test)]
mod prompt;
#[cfg(test)]
mod score;
#[cfg(test)]
mod support;
#[cfg(test)]
mod usage;
