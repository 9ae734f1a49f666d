//! HTML, as it is shown: without scripts, styles, pictures and addresses of links, and without what is around a page's
//! text on every page of a site.

mod tables;

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use htmd::element_handler::{HandlerResult, Handlers};
use htmd::{Element, HtmlToMarkdown};
use regex::{Captures, Regex};

use super::{Parsed, utf8};

/// Elements that hold no text for people.
const SKIPPED: [&str; 9] =
    ["script", "style", "noscript", "template", "svg", "canvas", "iframe", "img", "object"];

/// Elements that may stand around a page's text.
const FRAMES: [&str; 9] = ["nav", "footer", "aside", "dialog", "div", "section", "form", "ul", "p"];
/// Roles of what stands around a page's text.
const FRAME_ROLES: [&str; 8] =
    ["navigation", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu", "menubar"];
/// Parts of ids and classes that notices about cookies have, of sites and of the services that sell such notices.
const COOKIE_NOTICES: [&str; 18] = [
    "cookie-banner",
    "cookiebanner",
    "cookie-consent",
    "cookieconsent",
    "cookie-notice",
    "cookienotice",
    "cookie-bar",
    "cookiebar",
    "cookie-popup",
    "cookie-law",
    "cookie-message",
    "cookie-modal",
    "consent-banner",
    "consent-popup",
    "gdpr-",
    "onetrust",
    "cybotcookiebot",
    "didomi",
];

/// Reads a page: all of it where `whole` says so, else without navigation, notices about cookies and footers, unless
/// nothing would be left.
pub(super) fn parsed(bytes: &[u8], whole: bool) -> Result<Parsed, String> {
    let html = expanded(utf8(bytes)?);
    let page = converted(&html, whole)?;
    if whole || !page.text.trim().is_empty() { Ok(page) } else { converted(&html, true) }
}

/// XHTML as HTML spells it: there a tag such as `<title/>` is open, and would take the rest of the page into the title.
fn expanded(html: &str) -> Cow<'_, str> {
    const HEAD: usize = 1024;
    static CLOSED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<([A-Za-z][\w:-]*)((?:\s[^<>]*)?)/>").expect("a test compiles it"));
    const VOID: [&str; 14] = [
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
        "track", "wbr",
    ];
    let head = html.char_indices().nth(HEAD).map_or(html, |(end, _)| &html[..end]);
    if !head.contains("<?xml") && !head.contains("http://www.w3.org/1999/xhtml") {
        return Cow::Borrowed(html);
    }
    CLOSED.replace_all(html, |found: &Captures<'_>| {
        let (name, attributes) = (&found[1], &found[2]);
        if VOID.contains(&name) { found[0].to_owned() } else { format!("<{name}{attributes}></{name}>") }
    })
}

fn converted(html: &str, whole: bool) -> Result<Parsed, String> {
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
    // How many of these elements are around the one that is read: what stands in them belongs to the text.
    let depth = Arc::new(AtomicUsize::new(0));
    let inside = Arc::clone(&depth);
    let enter = move |handlers: &dyn Handlers, element: Element| -> Option<HandlerResult> {
        inside.fetch_add(1, Ordering::Relaxed);
        let result = handlers.fallback(element);
        inside.fetch_sub(1, Ordering::Relaxed);
        result
    };
    let leave_out = move |handlers: &dyn Handlers, element: Element| -> Option<HandlerResult> {
        if !whole && is_frame(&element, depth.load(Ordering::Relaxed) > 0) {
            return Some("".into());
        }
        handlers.fallback(element)
    };
    let converter = tables::add(HtmlToMarkdown::builder())
        .skip_tags(SKIPPED.to_vec())
        .add_handler(vec!["title"], keep_title)
        .add_handler(vec!["a"], text_alone)
        .add_handler(vec!["article", "main"], enter)
        .add_handler(FRAMES.to_vec(), leave_out)
        .build();
    let text = converter.convert(html).map_err(|error| error.to_string())?;
    let title = title.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Parsed { title, text })
}

/// Returns the value of an attribute, in lower case.
fn attribute(element: &Element, name: &str) -> Option<String> {
    let mut attributes = element.attrs.iter();
    attributes
        .find(|attribute| &*attribute.name.local == name)
        .map(|attribute| attribute.value.to_lowercase())
}

/// Whether an element stands around the text of its page. A footer or a side note of an article belongs to it.
fn is_frame(element: &Element, in_article: bool) -> bool {
    let attribute = |name: &str| attribute(element, name);
    let named = |name: &str| {
        let value = attribute(name).unwrap_or_default().replace('_', "-");
        COOKIE_NOTICES.iter().any(|notice| value.contains(notice))
    };
    let role = attribute("role");
    let by_tag = match element.tag {
        "nav" | "dialog" => true,
        "footer" | "aside" => !in_article,
        _ => false,
    };
    let by_role = role.is_some_and(|role| FRAME_ROLES.contains(&role.trim()));
    by_tag || by_role || attribute("hidden").is_some() || named("id") || named("class")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(html: &str, whole: bool) -> String {
        let text = parsed(html.as_bytes(), whole).unwrap().text;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_stands_around_the_text_is_left_out() {
        let page = "<body><nav>Home News</nav><div id=\"cookie_banner-1\">We use cookies.</div>
            <header><h1>Harbour</h1></header><main><p>The bridge bears 7.5 t.</p><article><aside>Since 1987.</aside>
            <footer>By Ann.</footer></article></main><aside>Also read</aside><div role=\"navigation\">Next</div>
            <div class=\"cookies recipe\">Bake them.</div><section hidden>Old</section><footer>Imprint</footer></body>";
        assert_eq!(words(page, false), "# Harbour The bridge bears 7.5 t. Since 1987. By Ann. Bake them.");
        let whole = words(page, true);
        for part in ["Home News", "We use cookies.", "Also read", "Next", "Old", "Imprint"] {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        assert_eq!(words("<nav>Only this.</nav>", false), "Only this.");
    }

    #[test]
    fn titles_and_headings_stay_and_scripts_go() {
        let html =
            "<!doctype html><html><head><title>Harbour\n office</title><style>p {}</style></head><body>
            <script>alert(1)</script><h1>Harbour</h1><p>The bridge &amp; the <a href='/ferry'>ferry</a>.</p>
            <h2>Hours</h2><ul><li>Nine<li>Six</ul><img src=x alt=y></body></html>";
        let Parsed { title, text } = parsed(html.as_bytes(), false).unwrap();
        assert_eq!(title.as_deref(), Some("Harbour office"));
        assert!(text.contains("# Harbour\n") && text.contains("\n## Hours\n"), "{text}");
        assert!(text.contains("The bridge & the ferry."), "{text}");
        assert!(!text.contains("alert") && !text.contains("p {}") && !text.contains("office"), "{text}");
    }

    #[test]
    fn tags_that_xml_closes_are_closed() {
        let page = "<?xml version=\"1.0\"?><html><head><title/><script src=\"a\"/></head><body><p>One<br/>two.</p></body></html>";
        assert_eq!(words(page, false), "One two.");
        let kept = "<p>In <title/>HTML a slash says nothing.</p>";
        assert!(matches!(expanded(kept), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_utf_8_is_refused() {
        assert!(parsed(b"<p>\xe9</p>", false).unwrap_err().contains("invalid byte at offset 3"));
    }
}
