//! HTML, as it is shown: without scripts, styles, pictures and addresses of links.

use std::sync::{Arc, Mutex, PoisonError};

use htmd::element_handler::{HandlerResult, Handlers};
use htmd::{Element, HtmlToMarkdown};

use super::{Parsed, utf8};

/// Elements that hold no text for people.
const SKIPPED: [&str; 9] =
    ["script", "style", "noscript", "template", "svg", "canvas", "iframe", "img", "object"];

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    let html = utf8(bytes)?;
    let title = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&title);
    let keep_title = move |handlers: &dyn Handlers, element: Element| -> Option<HandlerResult> {
        let text = handlers.walk_children(element.node).content;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text).filter(|text| !text.is_empty());
        None
    };
    let text_alone = |handlers: &dyn Handlers, element: Element| -> Option<HandlerResult> {
        Some(handlers.walk_children(element.node))
    };
    let converter = HtmlToMarkdown::builder()
        .skip_tags(SKIPPED.to_vec())
        .add_handler(vec!["title"], keep_title)
        .add_handler(vec!["a"], text_alone)
        .build();
    let text = converter.convert(html).map_err(|error| error.to_string())?;
    let title = title.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Parsed { title, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_headings_stay_and_scripts_go() {
        let html =
            "<!doctype html><html><head><title>Harbour\n office</title><style>p {}</style></head><body>
            <script>alert(1)</script><h1>Harbour</h1><p>The bridge &amp; the <a href='/ferry'>ferry</a>.</p>
            <h2>Hours</h2><ul><li>Nine<li>Six</ul><img src=x alt=y></body></html>";
        let Parsed { title, text } = parsed(html.as_bytes()).unwrap();
        assert_eq!(title.as_deref(), Some("Harbour office"));
        assert!(text.contains("# Harbour\n") && text.contains("\n## Hours\n"), "{text}");
        assert!(text.contains("The bridge & the ferry."), "{text}");
        assert!(!text.contains("alert") && !text.contains("p {}") && !text.contains("office"), "{text}");
    }

    #[test]
    fn what_is_no_utf_8_is_refused() {
        assert!(parsed(b"<p>\xe9</p>").unwrap_err().contains("invalid byte at offset 3"));
    }
}
