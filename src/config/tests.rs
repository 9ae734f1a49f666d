use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::Path;

use super::*;
use crate::model::{Device, EmbedderKind, Precision, RerankerKind, ScorerKind};

struct FakeEnv(HashMap<&'static str, &'static str>);

impl Env for FakeEnv {
    fn value(&self, name: &str) -> Option<OsString> {
        self.0.get(name).map(OsString::from)
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }
}

fn env<const N: usize>(variables: [(&'static str, &'static str); N]) -> FakeEnv {
    FakeEnv(HashMap::from(variables))
}

/// Loads `text` as the file that a flag names.
fn load_text(text: &str, env: &FakeEnv) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.toml");
    std::fs::write(&file, text).unwrap();
    load(&Flags { file: Some(file), listen: None }, env, &Places::default()).map(|loaded| loaded.config)
}

fn error_of(text: &str, env: &FakeEnv) -> String {
    load_text(text, env).unwrap_err().to_string()
}

fn places(folder: &Path) -> Places {
    Places { working: folder.join("work"), platform: Some(folder.join("platform")) }
}

#[test]
fn without_any_file_the_defaults_hold() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&Flags::default(), &env([]), &places(folder.path())).unwrap();
    assert_eq!(loaded.file, None);
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(loaded.config.limits.body_bytes, 16 * 1024 * 1024);
}

#[test]
fn the_working_folder_comes_before_the_platforms() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let platform = folder.path().join("platform/whittle/config.toml");
    std::fs::create_dir_all(platform.parent().unwrap()).unwrap();
    std::fs::write(&platform, "limits.queue = 1").unwrap();
    let loaded = load(&Flags::default(), &env([]), &places).unwrap();
    assert_eq!((loaded.config.limits.queue, loaded.file), (1, Some(platform)));

    let working = folder.path().join("work/whittle.toml");
    std::fs::create_dir_all(working.parent().unwrap()).unwrap();
    std::fs::write(&working, "limits.queue = 2").unwrap();
    let loaded = load(&Flags::default(), &env([]), &places).unwrap();
    assert_eq!((loaded.config.limits.queue, loaded.file), (2, Some(working)));
}

#[test]
fn the_environment_beats_the_file_and_flags_beat_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.toml");
    std::fs::write(&file, "listen = '127.0.0.1:1'\n[limits]\nqueue = 1\ndocuments = 7").unwrap();
    let env = env([("WHITTLE_LISTEN", "127.0.0.1:2"), ("WHITTLE_LIMITS_QUEUE", " 2 ")]);
    let flags = Flags { file: Some(file), listen: Some("127.0.0.1:3".parse().unwrap()) };
    let config = load(&flags, &env, &Places::default()).unwrap().config;
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.limits.queue, 2);
    assert_eq!(config.limits.documents, 7);
    assert_eq!(config.limits.tokens, Limits::default().tokens);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of all keys")]
fn every_variable_reaches_its_key() {
    let env = env([
        ("WHITTLE_LISTEN", "[::1]:99"),
        ("WHITTLE_ALLOW_REMOTE", "true"),
        ("WHITTLE_HOSTS", "whittle.example, 192.0.2.1"),
        ("WHITTLE_SCORER_MODEL", "m"),
        ("WHITTLE_SCORER_ADAPTER", "a"),
        ("WHITTLE_SCORER_DEVICE", "metal"),
        ("WHITTLE_SCORER_PRECISION", "f32"),
        ("WHITTLE_SCORER_KV_CACHE_BYTES", "6"),
        ("WHITTLE_SCORER_THREADS", "3"),
        ("WHITTLE_SCORER_CACHE_BYTES", "5"),
        ("WHITTLE_SCORER_DISK_CACHE", "true"),
        ("WHITTLE_SCORER_DISK_CACHE_BYTES", "50"),
        ("WHITTLE_SCORER_KIND", "vllm"),
        ("WHITTLE_SCORER_URL", "http://gpu:8000/v1"),
        ("WHITTLE_SCORER_API_KEY_ENV", "SCORER_KEY"),
        ("WHITTLE_SCORER_SERVED_MODEL", "served"),
        ("WHITTLE_SCORER_BATCH", "20"),
        ("WHITTLE_SCORER_CONCURRENCY", "21"),
        ("WHITTLE_SCORER_TIMEOUT_MS", "22"),
        ("WHITTLE_SCORER_RETRIES", "3"),
        ("WHITTLE_EMBEDDER_KIND", "tei"),
        ("WHITTLE_EMBEDDER_URL", "http://tei:8080"),
        ("WHITTLE_EMBEDDER_API_KEY_ENV", "EMBEDDER_KEY"),
        ("WHITTLE_EMBEDDER_DIMENSIONS", "23"),
        ("WHITTLE_EMBEDDER_BATCH", "24"),
        ("WHITTLE_EMBEDDER_CONCURRENCY", "25"),
        ("WHITTLE_EMBEDDER_TIMEOUT_MS", "26"),
        ("WHITTLE_EMBEDDER_RETRIES", "4"),
        ("WHITTLE_EMBEDDER_MAX_TOKENS", "27"),
        ("WHITTLE_EMBEDDER_QUERY_PREFIX", "query:"),
        ("WHITTLE_EMBEDDER_TEXT_PREFIX", "passage:"),
        ("WHITTLE_EMBEDDER_FALLBACK", "f"),
        ("WHITTLE_EMBEDDER_MODEL", "e"),
        ("WHITTLE_EMBEDDER_PRECISION", "f32"),
        ("WHITTLE_EMBEDDER_THREADS", "2"),
        ("WHITTLE_EMBEDDER_CACHE_BYTES", "10"),
        ("WHITTLE_EMBEDDER_DISK_CACHE", "true"),
        ("WHITTLE_EMBEDDER_DISK_CACHE_BYTES", "51"),
        ("WHITTLE_CLASSIFIER_MODEL", "c"),
        ("WHITTLE_CLASSIFIER_DEVICE", "cuda"),
        ("WHITTLE_RERANKER_MODEL", "r"),
        ("WHITTLE_RERANKER_PRECISION", "f32"),
        ("WHITTLE_RERANKER_THREADS", "3"),
        ("WHITTLE_RERANKER_MOST_TOKENS", "53"),
        ("WHITTLE_RERANKER_KIND", "jina"),
        ("WHITTLE_RERANKER_URL", "http://jina:8080"),
        ("WHITTLE_RERANKER_API_KEY_ENV", "RERANKER_KEY"),
        ("WHITTLE_RERANKER_BATCH", "54"),
        ("WHITTLE_RERANKER_CONCURRENCY", "55"),
        ("WHITTLE_RERANKER_TIMEOUT_MS", "56"),
        ("WHITTLE_RERANKER_RETRIES", "5"),
        ("WHITTLE_RERANKER_MAX_TOKENS", "57"),
        ("WHITTLE_RERANKER_FALLBACK", "rf"),
        ("WHITTLE_PRUNER_MODEL", "p"),
        ("WHITTLE_PRUNER_PRECISION", "f32"),
        ("WHITTLE_PRUNER_THREADS", "4"),
        ("WHITTLE_PRUNER_THRESHOLD", "0.3"),
        ("WHITTLE_LOCAL_ENABLED", "false"),
        ("WHITTLE_LIMITS_BODY_BYTES", "4"),
        ("WHITTLE_LIMITS_SNAPSHOT_BYTES", "44"),
        ("WHITTLE_LIMITS_DOCUMENTS", "5"),
        ("WHITTLE_LIMITS_TOKENS", "6"),
        ("WHITTLE_LIMITS_DEADLINE_MS", "7"),
        ("WHITTLE_LIMITS_CONCURRENCY", "8"),
        ("WHITTLE_LIMITS_QUEUE", "9"),
        ("WHITTLE_KEYS_REQUIRED", "true"),
        ("WHITTLE_KEYS_STALE_MS", "1500"),
        ("WHITTLE_SHARED_KIND", "valkey"),
        ("WHITTLE_SHARED_URL", "redis://127.0.0.1:7/1"),
        ("WHITTLE_SHARED_PASSWORD_ENV", "PASSWORD"),
        ("WHITTLE_SHARED_TIMEOUT_MS", "20"),
        ("WHITTLE_SHARED_PREFIX", "w:"),
        ("WHITTLE_SHARED_WHEN_AWAY", "local"),
        ("WHITTLE_STORE_KIND", "postgres"),
        ("WHITTLE_STORE_URL", "postgres://me@db.example/whittle"),
        ("WHITTLE_STORE_PASSWORD_ENV", "DATABASE_PASSWORD"),
        ("WHITTLE_STORE_SCHEMA", "w"),
        ("WHITTLE_STORE_POOL", "3"),
        ("WHITTLE_STORE_WAIT_MS", "30"),
        ("WHITTLE_STORE_TIMEOUT_MS", "40"),
        ("WHITTLE_PAGE_ENABLED", "false"),
        ("WHITTLE_PAGE_EVALUATIONS", "runs"),
        ("WHITTLE_PROXY_DEADLINE_MS", "10"),
        ("WHITTLE_PROXY_BODY_MEMORY_BYTES", "1100000"),
        ("WHITTLE_PROXY_MEMORY_BYTES", "12"),
        ("WHITTLE_PROXY_MEMORY_DAYS", "13"),
        ("WHITTLE_PROXY_LEDGER_DAYS", "16"),
        ("WHITTLE_PROXY_COMPUTE_PRICE", "0.25"),
        ("WHITTLE_PROXY_HOLDOUT", "0.05"),
        ("WHITTLE_PROXY_COMPRESS_ENABLED", "false"),
        ("WHITTLE_PROXY_COMPRESS_METHOD", "llmlingua"),
        ("WHITTLE_PROXY_COMPRESS_RATE", "0.14"),
        ("WHITTLE_PROXY_COMPRESS_MIN_TOKENS", "15"),
        ("WHITTLE_PROXY_COMPRESS_TOOL_RESULTS", "compress"),
        ("WHITTLE_PROXY_COMPRESS_FOLD_WITHOUT", "runs"),
        ("WHITTLE_PROXY_COMPRESS_FOLD_MIN_TOKENS", "150"),
        ("WHITTLE_PROXY_COMPRESS_DEADLINE_MS", "16"),
        ("WHITTLE_PROXY_SHADOW_SHARE", "0.5"),
        ("WHITTLE_PROXY_SHADOW_USD_PER_DAY", "1.5"),
        ("WHITTLE_PROXY_RETRIEVE_COLLECTIONS", "a, b"),
        ("WHITTLE_PROXY_RETRIEVE_BANKS", "c"),
        ("WHITTLE_PROXY_RETRIEVE_EXAMPLES", "9"),
        ("WHITTLE_PROXY_RETRIEVE_ALWAYS", "true"),
        ("WHITTLE_PROXY_RETRIEVE_TOKENS", "107"),
        ("WHITTLE_PROXY_RETRIEVE_TOP_K", "8"),
        ("WHITTLE_PROXY_RETRIEVE_DEADLINE_MS", "18"),
        ("WHITTLE_PROXY_RECALL_ENABLED", "true"),
        ("WHITTLE_PROXY_RECALL_HOURS", "19"),
        ("WHITTLE_PROXY_RECALL_BYTES", "2000000"),
        ("WHITTLE_PROXY_RECALL_TOOL", "true"),
        ("WHITTLE_PROXY_RECALL_KEY_FILE", "/run/recall.key"),
        ("WHITTLE_MCP_ROOTS", "/srv/a, b"),
    ]);
    let expected = Config {
        listen: "[::1]:99".parse().unwrap(),
        allow_remote: true,
        hosts: vec!["whittle.example".into(), "192.0.2.1".into()],
        scorer: ScorerConfig {
            kind: ScorerKind::Vllm,
            model: "m".into(),
            adapter: Some("a".into()),
            device: Device::Metal,
            precision: Precision::F32,
            threads: Some(3),
            cache_bytes: 5,
            kv_cache_bytes: 6,
            disk_cache: true,
            disk_cache_bytes: 50,
            url: Some("http://gpu:8000/v1".into()),
            api_key_env: Some("SCORER_KEY".into()),
            served_model: Some("served".into()),
            batch: 20,
            concurrency: 21,
            timeout_ms: 22,
            retries: 3,
        },
        embedder: EmbedderConfig {
            kind: EmbedderKind::Tei,
            model: "e".into(),
            precision: Precision::F32,
            threads: Some(2),
            cache_bytes: 10,
            disk_cache: true,
            disk_cache_bytes: 51,
            url: Some("http://tei:8080".into()),
            api_key_env: Some("EMBEDDER_KEY".into()),
            dimensions: Some(23),
            batch: 24,
            concurrency: 25,
            timeout_ms: 26,
            retries: 4,
            max_tokens: Some(27),
            query_prefix: "query:".into(),
            text_prefix: "passage:".into(),
            fallback: Some("f".into()),
        },
        classifier: ClassifierConfig { model: "c".into(), device: Device::Cuda },
        reranker: RerankerConfig {
            kind: RerankerKind::Jina,
            model: Some("r".into()),
            precision: Precision::F32,
            threads: Some(3),
            most_tokens: 53,
            url: Some("http://jina:8080".into()),
            api_key_env: Some("RERANKER_KEY".into()),
            batch: 54,
            concurrency: 55,
            timeout_ms: 56,
            retries: 5,
            max_tokens: Some(57),
            fallback: Some("rf".into()),
        },
        pruner: PrunerConfig {
            model: Some("p".into()),
            precision: Precision::F32,
            threads: Some(4),
            threshold: Some(0.3),
        },
        local: LocalConfig { enabled: false },
        limits: Limits {
            body_bytes: 4,
            snapshot_bytes: 44,
            documents: 5,
            tokens: 6,
            deadline_ms: 7,
            concurrency: 8,
            queue: 9,
        },
        keys: KeysConfig { required: true, stale_ms: 1500 },
        shared: SharedConfig {
            kind: SharedKind::Valkey,
            url: Some("redis://127.0.0.1:7/1".into()),
            password_env: Some("PASSWORD".into()),
            timeout_ms: 20,
            prefix: "w:".into(),
            when_away: WhenAway::Local,
        },
        store: StoreConfig {
            kind: StoreKind::Postgres,
            url: Some("postgres://me@db.example/whittle".into()),
            password_env: Some("DATABASE_PASSWORD".into()),
            schema: "w".into(),
            pool: 3,
            wait_ms: 30,
            timeout_ms: 40,
        },
        mcp: McpConfig { roots: vec!["/srv/a".into(), "b".into()] },
        page: PageConfig { enabled: false, evaluations: vec!["runs".into()] },
        proxy: ProxyConfig {
            deadline_ms: 10,
            body_memory_bytes: 1_100_000,
            memory_bytes: 12,
            memory_days: 13,
            ledger_days: 16,
            compute_price: 0.25,
            holdout: 0.05,
            compress: CompressPolicy {
                enabled: false,
                method: Some(crate::compress::Method::LlmLingua),
                rate: 0.14,
                min_tokens: 15,
                tool_results: ToolResults::Compress,
                fold_without: vec![crate::compress::fold::Rule::Runs],
                fold_min_tokens: 150,
                deadline_ms: 16,
            },
            shadow: ShadowPolicy { share: 0.5, usd_per_day: 1.5 },
            retrieve: RetrievePolicy {
                collections: vec!["a".into(), "b".into()],
                banks: vec!["c".into()],
                examples: 9,
                always: true,
                tokens: 107,
                top_k: 8,
                deadline_ms: 18,
            },
            recall: RecallPolicy {
                enabled: true,
                hours: 19,
                bytes: 2_000_000,
                tool: true,
                key_file: Some("/run/recall.key".into()),
            },
        },
        upstreams: Vec::new(),
    };
    assert_eq!(load_text("", &env).unwrap(), expected);
}

/// Texts of variables, of which each key has to take one that is not its default.
const SAMPLES: [&str; 20] = [
    "7",
    "1048577",
    "0.25",
    "true",
    "false",
    "[::1]:99",
    "some-model",
    "metal",
    "f32",
    "llmlingua",
    "compress",
    "runs, json",
    "vllm",
    "tei",
    "http://host:1/v1",
    "valkey",
    "redis://127.0.0.1:7",
    "local",
    "postgres",
    "postgres://me@127.0.0.1:7/db",
];

/// The value at a path of what is shown.
fn shown(config: &Config, path: &str) -> Option<toml::Value> {
    let mut value = toml::Value::Table(toml::from_str(&toml::to_string_pretty(config).unwrap()).unwrap());
    for part in path.split('.') {
        value = value.as_table_mut()?.remove(part)?;
    }
    Some(value)
}

#[test]
fn each_key_means_the_same_in_file_environment_and_what_is_shown() {
    for key in Config::keys() {
        let default = Config::default();
        assert_eq!(shown(&default, key.path), key.default(), "{}", key.path);
        // A key that takes another one beside it.
        let beside = match key.path {
            "proxy.recall.tool" => "proxy.recall.enabled = true\n",
            "scorer.kind" => "scorer.url = 'http://a'\n",
            "scorer.url" => "scorer.kind = 'vllm'\n",
            "embedder.kind" => "embedder.url = 'http://a'\n",
            "embedder.url" => "embedder.kind = 'openai'\n",
            "embedder.fallback" => "embedder.url = 'http://a'\nembedder.kind = 'openai'\n",
            "reranker.kind" => "reranker.url = 'http://a'\nreranker.model = 'm'\n",
            "reranker.url" => "reranker.kind = 'jina'\nreranker.model = 'm'\n",
            "reranker.fallback" => {
                "reranker.url = 'http://a'\nreranker.kind = 'jina'\nreranker.model = 'm'\n"
            }
            "shared.kind" => "shared.url = 'redis://127.0.0.1'\n",
            "store.kind" => "store.url = 'postgres://me@127.0.0.1/db'\n",
            _ => "",
        };
        let mut changed = 0;
        for sample in SAMPLES {
            let Ok(value) = key.read(sample) else { continue };
            let variable = FakeEnv(HashMap::from([(&*key.variable().leak(), sample)]));
            let Ok(config) = load_text(beside, &variable) else { continue };
            assert_eq!(shown(&config, key.path), Some(value.clone()), "{} = {sample}", key.path);
            assert_eq!(
                load_text(&format!("{beside}{} = {value}", key.path), &env([])).unwrap(),
                config,
                "{}",
                key.path
            );
            let shown = toml::to_string_pretty(&config).unwrap();
            assert_eq!(load_text(&shown, &env([])).unwrap(), config, "{shown}");
            changed += usize::from(config != default);
        }
        assert!(changed > 0, "no sample changes {}: add one that does", key.path);
        assert!(key.meaning().ends_with('.') && !key.meaning().contains(['|', '\n']), "{}", key.path);
    }
}

#[test]
fn keys_are_all_that_is_shown() {
    fn paths(table: &toml::Table, prefix: &str, found: &mut BTreeSet<String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => paths(inner, &format!("{prefix}{key}."), found),
                _ => drop(found.insert(format!("{prefix}{key}"))),
            }
        }
    }
    let mut config = Config::default();
    (config.scorer.threads, config.embedder.threads) = (Some(1), Some(1));
    (config.reranker.threads, config.pruner.threads) = (Some(1), Some(1));
    let text = || Some("text".to_owned());
    (config.reranker.model, config.pruner.model, config.pruner.threshold) = (text(), text(), Some(0.5));
    let scorer = &mut config.scorer;
    (scorer.url, scorer.api_key_env, scorer.served_model) = (text(), text(), text());
    scorer.adapter = text();
    let embedder = &mut config.embedder;
    (embedder.url, embedder.api_key_env, embedder.fallback) = (text(), text(), text());
    (embedder.dimensions, embedder.max_tokens) = (Some(2), Some(8));
    let reranker = &mut config.reranker;
    (reranker.url, reranker.api_key_env, reranker.fallback) = (text(), text(), text());
    reranker.max_tokens = Some(8);
    config.proxy.compress.method = Some(crate::compress::Method::Auto);
    config.proxy.recall.key_file = Some("key".into());
    (config.shared.url, config.shared.password_env) = (Some("redis://127.0.0.1".into()), Some("P".into()));
    (config.store.url, config.store.password_env) = (Some("postgres://me@h/db".into()), Some("P".into()));
    let mut shown = BTreeSet::new();
    paths(&toml::Table::try_from(&config).unwrap(), "", &mut shown);
    assert_eq!(Config::keys().iter().map(|key| key.path.to_owned()).collect::<BTreeSet<_>>(), shown);
}

#[test]
fn the_rules_of_folding_are_all_in_the_documentation_of_their_key() {
    let keys = Config::keys();
    let meaning = keys.iter().find(|key| key.path == "proxy.compress.fold_without").unwrap().meaning();
    for rule in crate::compress::fold::Rule::ALL {
        assert!(meaning.contains(&format!("`{}`", rule.name())), "{meaning}");
    }
}

#[test]
fn unknown_variables_fail_by_name_and_those_of_others_do_not() {
    let error = error_of("", &env([("WHITTLE_LIMIT_QUEUE", "8")]));
    assert!(
        error.contains("WHITTLE_LIMIT_QUEUE is unknown (did you mean WHITTLE_LIMITS_QUEUE?): correct"),
        "{error}"
    );
    assert!(error.contains("unset it") && error.contains("`whittle config keys`"), "{error}");
    let error = error_of("", &env([("WHITTLE_NO_SUCH_THING", "8")]));
    assert!(error.contains("WHITTLE_NO_SUCH_THING is unknown: correct"), "{error}");
    load_text("", &env([("WHITTLE_LIMIT_QUEUE", "")])).unwrap();
    load_text("", &FakeEnv(OTHER_VARIABLES.map(|(name, _)| (name, "x")).into())).unwrap();
    let known = env([
        ("WHITTLE_MY_KEY", "k"),
        ("WHITTLE_SERVICE_HOST", "10.0.0.1"),
        ("WHITTLE_PORT", "tcp://10.0.0.1:8787"),
        ("WHITTLE_PORT_8787_TCP", "tcp://10.0.0.1:8787"),
        ("WHITTLER", "1"),
    ]);
    load_text(&format!("{UPSTREAM}api_key_env = 'WHITTLE_MY_KEY'"), &known).unwrap();
    for section in ["scorer", "embedder"] {
        load_text(&format!("{section}.api_key_env = 'WHITTLE_MY_KEY'"), &known).unwrap();
    }
    assert!(error_of(UPSTREAM, &known).contains("WHITTLE_MY_KEY"));
    assert!(error_of("", &env([("WHITTLE_PORT", "80")])).contains("WHITTLE_PORT is unknown"));
}

#[test]
fn variables_are_checked_where_the_file_is_invalid_too() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places { working: folder.path().to_owned(), platform: None };
    let file = folder.path().join("whittle.toml");
    let variables = env([("WHITTLE_MY_KEY", "k")]);
    std::fs::write(&file, format!("{UPSTREAM}api_key_env = 'WHITTLE_MY_KEY'")).unwrap();
    check_variables(&variables, &places).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    assert!(check_variables(&variables, &places).unwrap_err().to_string().contains("WHITTLE_MY_KEY"));
    check_variables(&env([("WHITTLE_OFFLINE", "1")]), &places).unwrap();
}

/// Variables that the sources name in quotes, tests of the configuration apart.
fn read_by_the_code() -> BTreeSet<String> {
    fn collect(folder: &Path, quoted: &regex::Regex, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, quoted, found);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("config/tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
                found.extend(quoted.captures_iter(code).map(|found| found[1].to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    let quoted = regex::Regex::new(r#""(WHITTLE_[A-Z_]+)""#).unwrap();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &quoted, &mut found);
    found
}

#[test]
fn every_variable_that_the_code_reads_is_known() {
    let read = read_by_the_code();
    assert!(read.contains("WHITTLE_OFFLINE") && read.contains("WHITTLE_LOG"), "{read:?}");
    for name in read {
        let variables = FakeEnv(HashMap::from([(&*name.leak(), "tcp://x")]));
        check_variables(&variables, &places(Path::new("no/such/folder"))).unwrap();
    }
}

#[test]
fn what_is_shown_loads_to_the_same() {
    let config = Config {
        scorer: ScorerConfig { threads: Some(2), precision: Precision::Int8, ..ScorerConfig::default() },
        ..Config::default()
    };
    for config in [config, Config::default()] {
        let shown = toml::to_string_pretty(&config).unwrap();
        assert_eq!(load_text(&shown, &env([])).unwrap(), config, "{shown}");
    }
}

#[test]
fn misspelt_keys_fail_by_name_with_what_exists() {
    for (text, misspelt, exists) in [
        ("lisen = '127.0.0.1:1'", "lisen", "listen"),
        ("[limits]\nbody_byte = 1", "body_byte", "body_bytes"),
        ("[scorer]\nprecission = 'f32'", "precission", "precision"),
        ("[limit]\nqueue = 1", "limit", "limits"),
    ] {
        let error = error_of(text, &env([]));
        assert!(error.contains(&format!("unknown field `{misspelt}`")), "{error}");
        assert!(error.contains(&format!("`{exists}`")), "{error}");
        assert!(error.contains("some.toml") && error.contains("line "), "{error}");
    }
}

#[test]
fn a_device_without_int8_scores_in_f32() {
    let config = load_text("scorer.device = 'cuda'", &env([])).unwrap();
    assert_eq!(config.scorer.precision, Precision::F32);
    let error = error_of("scorer.precision = 'int8'", &env([("WHITTLE_SCORER_DEVICE", "metal")]));
    assert!(error.contains("`scorer.precision` is int8") && error.contains("`f32` on metal"), "{error}");
}

#[test]
fn wrong_values_fail_by_name() {
    for (text, expected) in [
        ("limits.concurrency = 0", "`limits.concurrency` is 0, but must be from 1 to 256"),
        ("limits.deadline_ms = 0", "`limits.deadline_ms`"),
        ("limits.body_bytes = 2_000_000_000", "`limits.body_bytes`"),
        ("limits.snapshot_bytes = 0", "`limits.snapshot_bytes`"),
        ("limits.documents = 0", "`limits.documents`"),
        ("limits.tokens = 0", "`limits.tokens`"),
        ("limits.queue = 100_001", "`limits.queue`"),
        ("scorer.threads = 0", "`scorer.threads`"),
        ("scorer.model = ' '", "`scorer.model` is empty"),
        ("scorer.precision = 'f16'", "unknown variant `f16`"),
        ("scorer.device = 'tpu'", "unknown variant `tpu`"),
        ("scorer = { device = 'cuda', precision = 'int8' }", "`f32` on cuda, or left out"),
        (
            "scorer.kind = 'tgi'",
            "unknown variant `tgi`, expected one of `local`, `vllm`, `sglang`, `whittle`",
        ),
        ("reranker.kind = 'tei'", "`reranker.url` is left out"),
        ("reranker.url = 'http://a'", "`reranker.kind` is local"),
        (
            "reranker = { kind = 'cohere', url = 'https://a' }",
            "`reranker.model` is left out, but must be the server's",
        ),
        ("reranker.fallback = 'm'", "`reranker.fallback` is m, but must be left out"),
        ("scorer.kind = 'vllm'", "`scorer.url` is left out, but must be the base URL of the server"),
        (
            "scorer.url = 'http://a'",
            "`scorer.kind` is local, but must be a remote one where `scorer.url` is set",
        ),
        ("embedder.kind = 'tei'", "`embedder.url` is left out"),
        ("embedder.url = 'http://a'", "`embedder.kind` is local"),
        ("embedder = { kind = 'tei', url = 'ftp://a' }", "`url` must begin with https:// or http://"),
        ("embedder = { kind = 'tei', url = 'https://me:secret@a' }", "`embedder.url` is refused"),
        (
            "embedder = { kind = 'tei', url = 'https://a', api_key_env = 'A=B' }",
            "name of an environment variable",
        ),
        ("embedder = { kind = 'tei', url = 'https://a', dimensions = 1 }", "`embedder.dimensions` is 1"),
        (
            "embedder = { kind = 'whittle', url = 'https://a', query_prefix = 'q' }",
            "where `embedder.kind` is `whittle`",
        ),
        ("embedder.fallback = 'm'", "`embedder.fallback` is m, but must be left out"),
        ("limits.queue = -1", "invalid value"),
        ("listen = 'localhost'", "invalid socket address"),
        ("hosts = ['a.example', 'https://b.example']", "`hosts` is https://b.example"),
        ("hosts = ['b.example:8787']", "`hosts` is b.example:8787"),
        ("hosts = ['']", "without scheme, port and path"),
        ("listen = ", "TOML parse error"),
    ] {
        let error = error_of(text, &env([]));
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn wrong_addresses_of_shared_state_fail_with_a_remedy() {
    for (text, expected) in [
        ("kind = 'valkey'", "`shared.kind` is valkey, but must be `none`, unless `shared.url`"),
        ("kind = 'redis'", "unknown variant `redis`"),
        ("url = '127.0.0.1:6379'", "an address such as `redis://"),
        ("url = 'https://x'", "begins with `redis://`, or `rediss://` for TLS"),
        ("url = 'redis://me:secret@x'", "its name into `shared.password_env`"),
        ("url = 'rediss://:secret@x'", "its name into `shared.password_env`"),
        ("url = 'redis://me:secret@x:port'", "`shared.url` is an address that is not shown, but must be"),
        ("url = 'redis://x/0?password=secret'", "`shared.url` is an address that is not shown, but must be"),
        ("url = 'redis://x/one'", "the number of a database"),
        ("url = 'rediss://x#insecure'", "leave out `?` and `#`"),
        ("password_env = ''", "the name of an environment variable"),
        ("timeout_ms = 0", "`shared.timeout_ms` is 0"),
        ("prefix = ''", "`shared.prefix` is , but must be 1 to 64 letters"),
        ("prefix = 'a{b}'", "`shared.prefix` is a{b}"),
        ("when_away = 'wait'", "unknown variant `wait`"),
    ] {
        let error = error_of(&format!("[shared]\n{text}"), &env([]));
        assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
    }
    let known = env([("WHITTLE_VALKEY", "p")]);
    let text =
        "shared = { kind = 'valkey', url = 'rediss://me@cache.example/2', password_env = 'WHITTLE_VALKEY' }";
    let config = load_text(text, &known).unwrap();
    assert_eq!((config.shared.timeout().as_millis(), config.shared.when_away), (100, WhenAway::Refuse));
}

#[test]
fn wrong_addresses_of_databases_fail_with_a_remedy() {
    for (text, expected) in [
        ("kind = 'postgres'", "`store.kind` is postgres, but must be `local`, unless `store.url`"),
        ("kind = 'mysql'", "unknown variant `mysql`"),
        ("url = '127.0.0.1:5432'", "an address such as `postgres://"),
        ("url = 'mysql://me@x/db'", "begins with `postgres://`"),
        ("url = 'postgres://me:secret@x/db'", "its name into `store.password_env`"),
        (
            "url = 'postgres://me:secret@x:port/db'",
            "`store.url` is an address that is not shown, but must be",
        ),
        (
            "url = 'postgres://me@x/db?password=secret'",
            "`store.url` is an address that is not shown, but must be",
        ),
        ("url = 'postgres://x/db'", "names a user and a database"),
        ("url = 'postgres://me@x'", "names a user and a database"),
        ("url = 'postgres://me@x/db?sslmode=prefer'", "no other setting than `sslmode=disable`"),
        ("url = 'postgres://me@x/db?options=-c'", "no other setting than `sslmode=disable`"),
        ("password_env = 'a=b'", "the name of an environment variable"),
        ("schema = ''", "`store.schema` is , but must be 1 to 63"),
        ("schema = 'a\"b'", "`store.schema` is a\"b"),
        ("schema = 'pg_catalog'", "not begin with `pg_`"),
        ("pool = 0", "`store.pool` is 0"),
        ("wait_ms = 0", "`store.wait_ms` is 0"),
        ("timeout_ms = 0", "`store.timeout_ms` is 0"),
    ] {
        let error = error_of(&format!("[store]\n{text}"), &env([]));
        assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
    }
    let text =
        "store = { kind = 'postgres', url = 'postgres://me@db.example/w', password_env = 'WHITTLE_DB' }";
    let config = load_text(text, &env([("WHITTLE_DB", "p")])).unwrap();
    assert_eq!((config.store.wait().as_millis(), config.store.schema.as_str()), (2_000, "whittle"));
    assert!(config.store.server().unwrap().tls);
}

#[test]
fn wrong_variables_fail_by_name_and_empty_ones_are_unset() {
    for (name, value) in [
        ("WHITTLE_LISTEN", "8787"),
        ("WHITTLE_ALLOW_REMOTE", "yes"),
        ("WHITTLE_SCORER_PRECISION", "half"),
        ("WHITTLE_SCORER_DEVICE", "tpu"),
        ("WHITTLE_LIMITS_QUEUE", "-1"),
    ] {
        let error = error_of("", &env([(name, value)]));
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let config = load_text("", &env([("WHITTLE_LIMITS_QUEUE", "")])).unwrap();
    assert_eq!(config.limits.queue, Limits::default().queue);
}

#[test]
fn remote_addresses_need_leave() {
    for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let text = format!("listen = '{address}'");
        assert!(error_of(&text, &env([])).contains("allow_remote = true"));
        let keyed = load_text(&format!("{text}\nkeys.required = true"), &env([])).unwrap();
        assert_eq!(keyed.listen, address.parse().unwrap());
        let allowed = load_text(&format!("allow_remote = true\n{text}"), &env([])).unwrap();
        assert_eq!(allowed.listen, address.parse().unwrap());
    }
    for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        load_text(&format!("listen = '{address}'"), &env([])).unwrap();
    }
}

#[test]
fn a_named_file_must_exist() {
    let flags = Flags { file: Some("no/such/file.toml".into()), listen: None };
    let error = load(&flags, &env([]), &Places::default()).unwrap_err();
    assert!(error.to_string().contains("no/such/file.toml"), "{error}");
}

const UPSTREAM: &str =
    "[[upstreams]]\nname = 'a'\ndialect = 'openai'\nbase_url = 'https://api.example/v1/'\n";

#[test]
fn an_upstream_is_read_with_its_defaults() {
    let config = load_text(UPSTREAM, &env([])).unwrap();
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.base_url, "https://api.example/v1");
    assert!(upstream.models.iter().any(|pattern| pattern.matches("anything")));
    assert_eq!((upstream.retries, &upstream.api_key_env), (2, &None));
    let shown = toml::to_string_pretty(&config).unwrap();
    assert_eq!(load_text(&shown, &env([])).unwrap(), config, "{shown}");
}

#[test]
fn everything_about_an_upstream_survives_being_shown() {
    let text = format!(
        "{UPSTREAM}api_key_env = 'K'\nmodels = ['gpt-*']\nfallback = 'b'\nretries = 0\naliases = {{ fast = 'gpt-4o-mini' }}\n\
         prices = [{{ model = 'gpt-*', input = 2.5, output = 10.0, cache_read = 1.25 }}]\n\
         [[upstreams]]\nname = 'b'\ndialect = 'openai'\nbase_url = 'http://127.0.0.1:1'\n\
         [proxy.compress]\nrate = 0.25\nmethod = 'llmlingua'\n"
    );
    let config = load_text(&text, &env([])).unwrap();
    assert!((config.proxy.compress.rate - 0.25).abs() < 1e-9);
    let shown = toml::to_string_pretty(&config).unwrap();
    assert_eq!(load_text(&shown, &env([])).unwrap(), config, "{shown}");
}

#[test]
fn wrong_upstreams_fail_by_name_with_a_remedy() {
    for (text, expected) in [
        ("base_url = 'ftp://x'", "must begin with https://"),
        ("base_url = 'api.example'", "`base_url` is not a URL"),
        ("base_url = 'https://me:secret@x/'", "`api_key_env`"),
        ("base_url = 'https://x/?a=b'", "must end with a path"),
        ("base_url = 'https://x'\nfallback = 'a'", "another upstream than itself"),
        ("base_url = 'https://x'\nfallback = 'b'", "no upstream has that name"),
        ("base_url = 'https://x'\nretries = 11", "`retries` is 11, but must be from 0 to 10"),
        ("base_url = 'https://x'\nidle_ms = 0", "`idle_ms` is 0"),
        ("base_url = 'https://x'\nmodels = ['']", "write `*` for any model"),
        ("base_url = 'https://x'\napi_key_env = ''", "environment variable"),
        ("base_url = 'https://x'\nprices = [{ model = '*', input = -1.0, output = 1.0 }]", "from 0"),
        ("base_url = 'https://x'\nmodel = 'y'", "unknown field `model`"),
    ] {
        let error = error_of(&format!("[[upstreams]]\nname = 'a'\ndialect = 'openai'\n{text}"), &env([]));
        assert!(error.contains(expected) && !error.contains("secret@"), "{text}: {error}");
    }
    for (text, expected) in [
        (format!("{UPSTREAM}{UPSTREAM}"), "another upstream has this name"),
        (UPSTREAM.replace("'a'", "'a b'"), "1 to 64 letters"),
        (UPSTREAM.replace("openai", "mistral"), "unknown variant `mistral`"),
        ("[proxy.compress]\nrate = 1.5".into(), "`proxy.compress.rate` is 1.5"),
        ("[proxy.recall]\nhours = 0".into(), "`proxy.recall.hours` is 0"),
        ("[proxy.recall]\nbytes = 9".into(), "`proxy.recall.bytes` is 9"),
        ("[proxy.recall]\ntool = true".into(), "`proxy.recall.tool` is true"),
        ("[proxy.recall]\nkey_file = ' '".into(), "`proxy.recall.key_file` is empty"),
        ("[proxy.compress]\nrate = nan".into(), "`proxy.compress.rate`"),
        ("[proxy]\ncompute_price = -1.0".into(), "`proxy.compute_price` is -1"),
        ("[proxy]\nledger_days = 0".into(), "`proxy.ledger_days` is 0"),
        ("[proxy]\nbody_memory_bytes = 1".into(), "`proxy.body_memory_bytes`"),
    ] {
        let error = error_of(&text, &env([]));
        assert!(error.contains(expected), "{text}: {error}");
    }
}
