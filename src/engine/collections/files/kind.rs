//! Kinds of files: what each is called.

use std::path::Path;

use clap::ValueEnum;

use crate::text::Layout;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Text in UTF-8, which is the document's as it stands.
    Text(Layout),
    /// Another process makes Markdown of it.
    Foreign(Format),
}

/// What another process makes Markdown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// HTML in UTF-8.
    Html,
    /// PDF that holds text, not pictures of it.
    Pdf,
    /// Word's, since 2007.
    Docx,
    /// Rows of cells in UTF-8, separated by commas or what else the file says.
    Csv,
    /// Rows of cells in UTF-8, separated by tabs.
    Tsv,
    /// Excel's, since 2007.
    Xlsx,
    /// Spreadsheets of `OpenDocument`.
    Ods,
    /// Rich text, which most word processors write.
    Rtf,
    /// `PowerPoint`'s, since 2007.
    Pptx,
    /// Books.
    Epub,
    /// E-mail.
    Eml,
}

/// Ends of names of files of code, and of what is written line by line as code is.
const CODE: [&str; 57] = [
    "bash",
    "bat",
    "c",
    "cc",
    "cfg",
    "clj",
    "cmake",
    "conf",
    "cpp",
    "cs",
    "css",
    "cu",
    "cxx",
    "dart",
    "diff",
    "ex",
    "exs",
    "go",
    "gradle",
    "graphql",
    "h",
    "hh",
    "hpp",
    "hs",
    "ini",
    "java",
    "jl",
    "js",
    "jsx",
    "kt",
    "kts",
    "less",
    "lua",
    "m",
    "mjs",
    "ml",
    "nim",
    "patch",
    "php",
    "pl",
    "properties",
    "proto",
    "ps1",
    "py",
    "pyi",
    "r",
    "rb",
    "rs",
    "scala",
    "scss",
    "sh",
    "sql",
    "swift",
    "tf",
    "toml",
    "ts",
    "tsx",
];

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Text(Layout::Plain),
        Self::Text(Layout::Markdown),
        Self::Text(Layout::Code),
        Self::Foreign(Format::Html),
        Self::Foreign(Format::Pdf),
        Self::Foreign(Format::Docx),
        Self::Foreign(Format::Csv),
        Self::Foreign(Format::Tsv),
        Self::Foreign(Format::Xlsx),
        Self::Foreign(Format::Ods),
        Self::Foreign(Format::Rtf),
        Self::Foreign(Format::Pptx),
        Self::Foreign(Format::Epub),
        Self::Foreign(Format::Eml),
    ];

    /// By the end of a file's name, whatever its case; `None` where that says nothing.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of_extension(&path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// By the lower-case end of a file's name.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "txt" | "text" => Some(Self::Text(Layout::Plain)),
            "md" | "markdown" => Some(Self::Text(Layout::Markdown)),
            "html" | "htm" | "xhtml" => Some(Self::Foreign(Format::Html)),
            "pdf" => Some(Self::Foreign(Format::Pdf)),
            "docx" => Some(Self::Foreign(Format::Docx)),
            "csv" => Some(Self::Foreign(Format::Csv)),
            "tsv" | "tab" => Some(Self::Foreign(Format::Tsv)),
            "xlsx" | "xlsm" => Some(Self::Foreign(Format::Xlsx)),
            "ods" => Some(Self::Foreign(Format::Ods)),
            "rtf" => Some(Self::Foreign(Format::Rtf)),
            "pptx" => Some(Self::Foreign(Format::Pptx)),
            "epub" => Some(Self::Foreign(Format::Epub)),
            "eml" => Some(Self::Foreign(Format::Eml)),
            "yaml" | "yml" | "vb" | "vue" | "zig" | "zsh" => Some(Self::Text(Layout::Code)),
            other => CODE.contains(&other).then_some(Self::Text(Layout::Code)),
        }
    }

    /// By its media type in lower case, without parameters.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        // Both names of rich text are in use.
        let media_type = if media_type == "text/rtf" { "application/rtf" } else { media_type };
        Self::ALL.into_iter().find(|kind| kind.media_type() == media_type)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text(Layout::Plain) => "text/plain",
            Self::Text(Layout::Markdown) => "text/markdown",
            Self::Text(Layout::Code) => "text/x-source",
            Self::Foreign(Format::Html) => "text/html",
            Self::Foreign(Format::Pdf) => "application/pdf",
            Self::Foreign(Format::Docx) => {
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            }
            Self::Foreign(Format::Csv) => "text/csv",
            Self::Foreign(Format::Tsv) => "text/tab-separated-values",
            Self::Foreign(Format::Xlsx) => {
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            }
            Self::Foreign(Format::Ods) => "application/vnd.oasis.opendocument.spreadsheet",
            Self::Foreign(Format::Rtf) => "application/rtf",
            Self::Foreign(Format::Pptx) => {
                "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            }
            Self::Foreign(Format::Epub) => "application/epub+zip",
            Self::Foreign(Format::Eml) => "message/rfc822",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text(Layout::Plain) => "text",
            Self::Text(Layout::Markdown) => "Markdown",
            Self::Text(Layout::Code) => "code",
            Self::Foreign(Format::Html) => "HTML",
            Self::Foreign(Format::Pdf) => "PDF",
            Self::Foreign(Format::Docx) => "DOCX",
            Self::Foreign(Format::Csv) => "CSV",
            Self::Foreign(Format::Tsv) => "TSV",
            Self::Foreign(Format::Xlsx) => "XLSX",
            Self::Foreign(Format::Ods) => "ODS",
            Self::Foreign(Format::Rtf) => "RTF",
            Self::Foreign(Format::Pptx) => "PPTX",
            Self::Foreign(Format::Epub) => "EPUB",
            Self::Foreign(Format::Eml) => "EML",
        }
    }

    /// Whether it is text in UTF-8, so that another charset is an error.
    #[must_use]
    pub const fn is_utf8(self) -> bool {
        matches!(self, Self::Text(_) | Self::Foreign(Format::Html | Format::Csv | Format::Tsv))
    }
}
