//! Several embedders as one.

use std::sync::Arc;

use super::{Cancel, Embedder, ScoreError, WordMatch};

/// Questions, each with the text that answers it, of different subjects.
const ANSWERED: [(&str, &str); 12] = [
    ("When was the bridge opened?", "The bridge over the river was opened in 1987."),
    ("Who won the tennis final?", "She won the tennis final in three sets."),
    ("How long must potatoes boil?", "Boil the potatoes for twenty minutes and drain them."),
    (
        "By how much did the bank raise interest rates?",
        "The central bank raised interest rates by half a point.",
    ),
    ("What does photosynthesis do with light?", "Photosynthesis turns light into chemical energy."),
    ("How much notice must the tenant give?", "The tenant must give three months' notice in writing."),
    ("What must be restarted after the installation?", "Install the package and restart the server."),
    ("Where was the quartet written?", "The quartet was written in Vienna in 1785."),
    ("What should patients with a fever drink?", "Patients with a fever should drink plenty of water."),
    ("Until when was the vote postponed?", "The committee postponed the vote until Thursday."),
    ("Where do penguins breed?", "Penguins breed in colonies on the Antarctic coast."),
    (
        "From which platform does the airport train leave?",
        "The train to the airport leaves from platform four.",
    ),
];
/// The least gap that counts, so that a model which tells nothing apart does not drown the others.
const LEAST_GAP: f64 = 0.02;

/// Embedders whose vectors are put side by side, so that the cosine of two texts is a weighted mean of their cosines.
///
/// Models spread their cosines differently: those of one lie between 0 and 0.7, those of another between 0.7 and 0.9. Each
/// is weighed by the inverse of its gap: how much nearer fixed questions are to the texts that answer them than to others.
/// So all have the same say. The gaps of all-MiniLM-L6-v2 and multilingual-e5-small are 0.69 and 0.14, and the deviations of
/// their cosines over the sentences of twelve questions of `hotpot` 0.18 and 0.03.
///
/// Both models' cosines in deviations of each prompt, instead of weights that are the same for all prompts, did no better
/// (`data/domains`, per cent at 0.50 / 0.25 / 0.10 / 0.05, half of the weight to each): two hops 98 / 94 / 62 / 24 instead of
/// 98 / 96 / 62 / 26, meetings 88 / 75 / 48 / 25 instead of 88 / 75 / 53 / 25, papers 96 / 88 / 58 / 42 instead of 96 / 89 / 54 / 42.
pub struct EnsembleEmbedder {
    name: String,
    parts: Vec<Part>,
}

struct Part {
    embedder: Arc<dyn Embedder>,
    /// The factor of the vectors: the root of the weight, for a cosine has it twice.
    scale: f32,
}

impl EnsembleEmbedder {
    /// The ensemble of `embedders`, at least one. Counts of tokens and cosines by words alone are those of the first.
    ///
    /// # Errors
    /// An embedder failed to read the fixed texts.
    pub fn new(embedders: Vec<Arc<dyn Embedder>>) -> Result<Self, ScoreError> {
        let gaps: Vec<f64> = embedders.iter().map(|embedder| gap(&**embedder)).collect::<Result<_, _>>()?;
        let all: f64 = gaps.iter().map(|gap| 1.0 / gap).sum();
        let name = embedders.iter().map(Embedder::name).collect::<Vec<_>>().join("+");
        let part = |(embedder, gap): (Arc<dyn Embedder>, f64)| {
            let weight = 1.0 / gap / all;
            Part { embedder, scale: weight.sqrt() as f32 }
        };
        Ok(Self { name, parts: embedders.into_iter().zip(gaps).map(part).collect() })
    }

    /// The first embedder, which there always is: an ensemble of none has no cosine.
    fn first(&self) -> Result<&dyn Embedder, ScoreError> {
        let none = || ScoreError::Model("an ensemble of no models was asked for".into());
        self.parts.first().map(|part| &*part.embedder).ok_or_else(none)
    }

    /// The vectors of `count` texts, put together from those that `read` gives of each part.
    fn beside(
        &self,
        count: usize,
        read: impl Fn(&dyn Embedder) -> Result<Vec<Vec<f32>>, ScoreError>,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        let mut vectors = vec![Vec::with_capacity(self.dimensions()); count];
        for Part { embedder, scale } in &self.parts {
            for (vector, part) in vectors.iter_mut().zip(read(&**embedder)?) {
                vector.extend(part.iter().map(|value| scale * value));
            }
        }
        Ok(vectors)
    }
}

/// How much nearer the fixed questions are to the texts that answer them than to the others, as a mean of cosines.
fn gap(embedder: &dyn Embedder) -> Result<f64, ScoreError> {
    let cancel = Cancel::never();
    let texts = embedder.embed(&ANSWERED.map(|(_, text)| text), &cancel)?;
    let (mut own, mut others) = (0.0, 0.0);
    for (i, (question, _)) in ANSWERED.iter().enumerate() {
        let question = embedder.embed_query(question, &cancel)?;
        for (j, text) in texts.iter().enumerate() {
            let cosine = question.iter().zip(text).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            if i == j { own += cosine } else { others += cosine }
        }
    }
    let count = ANSWERED.len() as f64;
    Ok((own / count - others / count / (count - 1.0)).max(LEAST_GAP))
}

impl Embedder for EnsembleEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.parts.iter().map(|part| part.embedder.dimensions()).sum()
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        self.first()?.count(text, cancel)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.beside(texts.len(), |embedder| embedder.embed(texts, cancel))
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        let found = self.beside(1, |embedder| Ok(vec![embedder.embed_query(query, cancel)?]));
        Ok(found?.pop().unwrap_or_default())
    }

    fn compare_words(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<Vec<WordMatch>>, ScoreError> {
        self.first()?.compare_words(query, texts, cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts texts of different subjects at a cosine that is so much less than 1, and those of one subject together.
    struct Apart(f32);

    impl Embedder for Apart {
        fn name(&self) -> &'static str {
            "apart"
        }

        fn dimensions(&self) -> usize {
            1 + ANSWERED.len()
        }

        fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
            Ok(text.len())
        }

        fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            let at = |text: &&str| {
                let subject = ANSWERED.iter().position(|(question, own)| question == text || own == text);
                let mut vector = vec![0.0; self.dimensions()];
                vector[0] = (1.0 - self.0).sqrt();
                vector[1 + subject.unwrap_or_default()] = self.0.sqrt();
                vector
            };
            Ok(texts.iter().map(at).collect())
        }
    }

    fn cosine(embedder: &dyn Embedder, query: &str, text: &str) -> f32 {
        let cancel = Cancel::never();
        let query = embedder.embed_query(query, &cancel).unwrap();
        let text = embedder.embed(&[text], &cancel).unwrap().remove(0);
        query.iter().zip(text).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn a_cosine_is_the_mean_of_the_parts_weighed_by_how_far_they_put_texts_apart() {
        let parts: [Arc<dyn Embedder>; 2] = [Arc::new(Apart(0.8)), Arc::new(Apart(0.1))];
        for (part, wanted) in parts.iter().zip([0.8, 0.1]) {
            assert!((gap(&**part).unwrap() - wanted).abs() < 1e-5);
        }
        let both = EnsembleEmbedder::new(parts.to_vec()).unwrap();
        assert_eq!((both.name(), both.dimensions()), ("apart+apart", 26));
        let (question, text) = ANSWERED[0];
        assert!((cosine(&both, question, text) - 1.0).abs() < 1e-5);
        // The first is weighed by 1/9, the second by 8/9.
        let wanted = (0.2 + 8.0 * 0.9) / 9.0;
        assert!((cosine(&both, question, ANSWERED[1].1) - wanted).abs() < 1e-5);
    }

    #[test]
    fn one_embedder_is_itself_and_one_that_tells_nothing_apart_weighs_no_more_than_it_may() {
        let one = EnsembleEmbedder::new(vec![Arc::new(Apart(0.3))]).unwrap();
        let (question, text) = (ANSWERED[0].0, ANSWERED[1].1);
        assert!((cosine(&one, question, text) - cosine(&Apart(0.3), question, text)).abs() < 1e-6);
        assert_eq!(one.count("four", &Cancel::never()).unwrap(), 4);
        assert!((gap(&Apart(0.0)).unwrap() - LEAST_GAP).abs() < 1e-9);
    }
}
