//! Text that clients put into a user's turn: reminders, the state of an editor, results of commands. It is never what
//! the user asks.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Tags of Claude Code, Codex, Cline, Continue, Cursor, Open `WebUI` and Copilot.
const TAGS: [&str; 44] = [
    "system-reminder",
    "system_reminder",
    "environment_context",
    "environment_details",
    "user_instructions",
    "local-command-stdout",
    "local-command-stderr",
    "local-command-caveat",
    "command-name",
    "command-message",
    "command-args",
    "command-contents",
    "bash-input",
    "bash-stdout",
    "bash-stderr",
    "user-prompt-submit-hook",
    "INSTRUCTIONS",
    "permissions instructions",
    "collaboration_mode",
    "turn_aborted",
    "user_shell_command",
    "file_content",
    "folder_content",
    "url_content",
    "final_file_content",
    "tool_result",
    "tool_response",
    "function_results",
    "attached_files",
    "additional_data",
    "current_file",
    "open_and_recently_viewed_files",
    "user_info",
    "project_layout",
    "git_status",
    "linter_errors",
    "recent_changes",
    "attachments",
    "attachment",
    "editorContext",
    "workspace_info",
    "environment_info",
    "reminderInstructions",
    "memory_context",
];

static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(r"<({})(?:\s[^<>]*)?>", TAGS.join("|"))).expect("a test compiles it")
});

/// `text` without what its client put in.
#[must_use]
pub fn own_words(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'<', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut own, mut at) = (String::new(), 0);
    // A tag that is not closed is looked for once.
    let mut unclosed: Vec<&str> = Vec::new();
    while let Some(found) = OPENING.captures_at(text, at) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
        own += &text[at..whole.start()];
        at = whole.end();
        if !unclosed.contains(&name.as_str()) {
            match text[at..].find(&format!("</{}>", name.as_str())) {
                Some(end) => at += end + name.len() + 3,
                None => unclosed.push(name.as_str()),
            }
        }
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    own += &text[at..];
    Cow::Owned(own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_client_puts_in_is_left_out() {
        let text = "<system-reminder>\nUse tabs.\n</system-reminder>\nWhy did it fail?<file_content path=\"a\">x</file_content>";
        assert_eq!(own_words(text).trim(), "Why did it fail?");
        assert_eq!(own_words("Is a < b in <b>bold</b>?"), "Is a < b in <b>bold</b>?");
        assert_eq!(own_words("<current_file>Never closed. Why?"), "Never closed. Why?");
    }

    proptest! {
        #[test]
        fn tags_change_nothing_wherever_they_stand(
            before in "[a-z ?\n]{0,40}", after in "[a-z ?\n]{0,40}", inside in "[a-z<> ]{0,40}", tag in 0..TAGS.len()
        ) {
            let tag = TAGS[tag];
            let text = format!("{before}<{tag}>{inside}</{tag}>{after}");
            prop_assert_eq!(own_words(&text), before + &after);
        }
    }
}
