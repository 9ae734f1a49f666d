//! Kinds of files: what each is called.

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
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Text(Layout::Plain),
        Self::Text(Layout::Markdown),
        Self::Foreign(Format::Html),
        Self::Foreign(Format::Pdf),
        Self::Foreign(Format::Docx),
    ];

    /// By the lower-case end of a file's name.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "txt" | "text" => Some(Self::Text(Layout::Plain)),
            "md" | "markdown" => Some(Self::Text(Layout::Markdown)),
            "html" | "htm" | "xhtml" => Some(Self::Foreign(Format::Html)),
            "pdf" => Some(Self::Foreign(Format::Pdf)),
            "docx" => Some(Self::Foreign(Format::Docx)),
            _ => None,
        }
    }

    /// By its media type in lower case, without parameters.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.media_type() == media_type)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text(Layout::Plain) => "text/plain",
            Self::Text(Layout::Markdown) => "text/markdown",
            Self::Foreign(Format::Html) => "text/html",
            Self::Foreign(Format::Pdf) => "application/pdf",
            Self::Foreign(Format::Docx) => {
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            }
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text(Layout::Plain) => "text",
            Self::Text(Layout::Markdown) => "Markdown",
            Self::Foreign(Format::Html) => "HTML",
            Self::Foreign(Format::Pdf) => "PDF",
            Self::Foreign(Format::Docx) => "DOCX",
        }
    }
}
