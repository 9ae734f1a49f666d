//! Datasets: the embedded one for real, others in small.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::config::ProcessEnv;
use crate::text::{contains, contains_numbers, for_name};

fn embedded() -> Vec<Question> {
    Files::new(None, &ProcessEnv).questions(&by_name("embedded").unwrap()).unwrap()
}

#[test]
fn each_embedded_question_is_answered_by_one_of_its_documents() {
    let questions = embedded();
    let documents: HashSet<&str> =
        questions.iter().flat_map(|question| &question.documents).map(|document| &*document.text).collect();
    assert!(questions.len() >= 60 && documents.len() >= 40, "{} {}", questions.len(), documents.len());
    assert_eq!(questions.iter().map(|question| &question.id).collect::<HashSet<_>>().len(), questions.len());
    for question in &questions {
        assert_eq!(question.documents.len(), 6);
        let holding = question.documents.iter().filter(|source| contains(&source.text, &question.answers));
        assert_eq!(holding.count(), 1, "{}", question.question);
    }
    for text in documents {
        assert!((60..=200).contains(&text.split_whitespace().count()), "{text}");
    }
}

#[test]
fn every_kind_of_text_is_asked_about_in_its_own_words() {
    let questions = Files::new(None, &ProcessEnv).questions(&by_name("kinds").unwrap()).unwrap();
    let counter = for_name("o200k_base").unwrap();
    // Kind and language of each text, by its id.
    let (mut texts, mut asked) = (HashMap::new(), HashMap::<_, usize>::new());
    for question in &questions {
        let needs = question.needs.as_ref().unwrap();
        let place = needs.spans[0].doc;
        let source = &question.documents[place];
        assert_eq!(question.documents.len(), 3, "{}", question.id);
        for span in &needs.spans {
            assert!(span.doc == place && source.text.contains(&span.text), "{}: {}", question.id, span.text);
        }
        let answers = || question.answers.iter().chain(&needs.operands);
        assert!(answers().count() > 0, "{}", question.id);
        assert!(contains_numbers(&source.text, &needs.operands), "{}", question.id);
        for answer in answers() {
            assert!(source.text.contains(answer.as_str()), "{}: {answer}", question.id);
            let in_evidence = needs.spans.iter().any(|span| span.text.contains(answer.as_str()));
            assert!(in_evidence, "{}: {answer}", question.id);
        }
        assert!((250..=700).contains(&counter.count(&source.text)), "{}", source.id);
        texts.insert(&*source.id, (&*needs.set, &*needs.language));
        *asked.entry(&*source.id).or_default() += 1;
    }
    let kinds: HashSet<_> = texts.values().map(|(kind, _)| *kind).collect();
    let languages: HashSet<_> = texts.values().map(|(_, language)| *language).collect();
    assert_eq!((texts.len(), questions.len(), kinds.len(), languages.len()), (24, 120, 12, 6));
    assert!(asked.values().all(|&count| count == 5), "{asked:?}");
    for language in languages.iter().filter(|language| **language != "en") {
        assert_eq!(texts.values().filter(|(_, other)| other == language).count(), 2, "{language}");
    }
}

#[test]
fn sets_are_those_whose_files_are_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |path: &str, text: &str| std::fs::write(folder.path().join("domains").join(path), text).unwrap();
    std::fs::create_dir(folder.path().join("domains")).unwrap();
    let files = Files::new(Some(folder.path().to_owned()), &ProcessEnv);
    let said = files.dataset("domains").unwrap_err().to_string();
    assert!(said.contains("--data") && !files.has_set("a"), "{said}");
    let rows = r#"{"id":"1","question":"q?","answers":[],"all_answers":["3"],"documents":["d"]}
{"id":"2","question":"q?","answers":["x"],"lang":"zh","gold_spans":[{"doc":0,"text":"x"}],"any_span":true,"documents":["d"]}"#;
    write("b.questions.jsonl", rows);
    write("b.documents.jsonl", r#"{"id":"d","title":null,"text":"3 x"}"#);
    write("a.questions.jsonl", r#"{"id":"1","question":"q?","answers":["y"],"documents":["d"]}"#);
    write("a.documents.jsonl", r#"{"id":"d","title":"T","text":"y"}"#);
    write("alone.questions.jsonl", rows);
    let all = files.dataset("domains").unwrap();
    assert_eq!(all.files.iter().filter(|file| file.sha256.len() == 64).count(), 4);
    let questions = files.questions(&all).unwrap();
    let ids: Vec<_> = questions.iter().map(|question| &*question.id).collect();
    assert_eq!(ids, ["a/1", "b/1", "b/2"]);
    // Documents of the same id are those of their own set.
    assert_eq!((&*questions[0].documents[0].title, &*questions[1].documents[0].title), ("T", ""));
    let needs = |i: usize| questions[i].needs.clone().unwrap();
    assert_eq!((&*needs(0).language, needs(1).operands, &*needs(1).set), ("en", vec!["3".to_owned()], "b"));
    assert_eq!((&*needs(2).language, needs(2).any_span, &*needs(2).spans[0].text), ("zh", true, "x"));
    let one = files.dataset("b").unwrap();
    assert_eq!((&*one.name, files.questions(&one).unwrap().len()), ("b", 2));
    assert!(files.has_set("b") && !files.has_set("alone") && files.count_sets("domains") == 2);
    write("b.questions.jsonl", r#"{"id":"1","question":"q?","answers":[],"documents":["d"]}"#);
    let said = format!("{:#}", files.questions(&files.dataset("b").unwrap()).unwrap_err());
    assert!(said.contains("holds no answer"), "{said}");
}

#[test]
fn every_built_in_manifest_is_complete() {
    for manifest in built_in().unwrap() {
        assert_eq!(by_name(&manifest.name).unwrap().files, manifest.files);
        for file in &manifest.files {
            assert!(file.sha256.len() == 64 && file.size > 0 && !file.path.starts_with('/'), "{}", file.path);
        }
        for path in &manifest.rows.files {
            assert!(manifest.files.iter().any(|file| file.path == *path), "{path}");
        }
    }
    assert!(by_name("nothing").unwrap_err().to_string().contains("embedded, kinds"));
}

#[test]
fn a_file_that_is_another_or_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(Some(folder.path().to_owned()), &ProcessEnv);
    std::fs::create_dir(folder.path().join("nq")).unwrap();
    std::fs::write(folder.path().join("nq/questions-dev.jsonl"), "{}\n").unwrap();
    let said = format!("{:#}", files.questions(&by_name("nq").unwrap()).unwrap_err());
    assert!(said.contains("is not the file that the manifest describes"), "{said}");
    let manifest: Manifest = toml::from_str(
        "name='x'\ntitle=''\nlicence=''\nsource='there'\nsplit=''\nanswer='text'\n[rows]\nfiles=['x/a.jsonl']\n\
         id='{id}'\nquestion='{q}'\nanswers='a'\n[documents]\nfrom='inline'\n\
         [[file]]\npath='x/a.jsonl'\nsha256=''\nsize=1",
    )
    .unwrap();
    let said = format!("{:#}", files.questions(&manifest).unwrap_err());
    assert!(said.contains("--data") && said.contains("published at there"), "{said}");
}

#[test]
fn rows_of_ones_own_are_read_and_their_mistakes_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let name = path.to_str().unwrap();
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Files::new(None, &ProcessEnv).questions(&by_name(name).unwrap())
    };
    let questions = read(
        r#"{"id":7,"question":"who?","answers":["a","b"],"instruction":"Read.","documents":[{"text":"t"},{"id":"x","title":"T","text":"u"}]}"#,
    )
    .unwrap();
    let source =
        |id: &str, title: &str, text: &str| Source { id: id.into(), title: title.into(), text: text.into() };
    assert_eq!(
        questions,
        [Question {
            id: "7".into(),
            instruction: "Read.".into(),
            documents: vec![source("0", "", "t"), source("x", "T", "u")],
            question: "who?".into(),
            asked: "who?".into(),
            answers: vec!["a".into(), "b".into()],
            needs: None,
        }]
    );
    for (text, said) in [
        ("{\"id\":1}\nnot json", "line 2"),
        (r#"{"id":"1","answers":["a"],"documents":[]}"#, "no column `question`"),
        (r#"{"id":"1","question":"q","answers":[" "],"documents":[]}"#, "holds no answer"),
        (r#"{"id":"1","question":"q","answers":"a","documents":[{"title":"T"}]}"#, "no column `text`"),
        (r#"{"id":"1","question":"q","answers":"a","documents":7}"#, "column `documents`"),
    ] {
        let error = format!("{:#}", read(text).unwrap_err());
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn answers_are_taken_from_behind_their_mark_and_examples_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("t/one.json", r#"{"examples":[{"q":"2+2","a":"it is #### 4 #### 5"}]}"#);
    write("p/one.txt", "canary\n-----\nDo so.\n\nQ: 1+1\nA: 2\n");
    let files = Files::new(Some(folder.path().to_owned()), &ProcessEnv);
    let manifest: Manifest = toml::from_str(
        "name='x'\ntitle=''\nlicence=''\nsource=''\nsplit=''\nanswer='number'\n[rows]\nfiles=['t/one.json']\n\
         list='examples'\nid='{@file}/{@row}'\nquestion='{q}'\nanswers='a'\nafter='####'\n\
         [documents]\nfrom='paragraphs'\nfile='p/{@file}.txt'\n\
         [[file]]\npath='elsewhere'\nsha256=''\nsize=1",
    )
    .unwrap();
    let question = files.questions(&manifest).unwrap().remove(0);
    assert_eq!((&*question.id, &*question.answers[0]), ("one/0", "5"));
    let texts: Vec<_> = question.documents.iter().map(|source| &*source.text).collect();
    assert_eq!(texts, ["Do so.", "Q: 1+1\nA: 2"]);
}
