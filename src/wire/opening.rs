//! The opening of a conversation: the texts of its first message of a user, by which it is known again.

use crate::text::JsonValue;

/// Takes the texts of the first message of a user, each with its length, and says whether there are any. Everything else
/// about the message, such as cache breakpoints, may change from turn to turn.
pub(super) fn opening(conversation: JsonValue, mut take: impl FnMut(&str)) -> bool {
    let mut found = false;
    let mut each = |text: JsonValue| {
        if let Some(text) = text.string() {
            found = true;
            take(&text);
        }
    };
    if conversation.is_string() {
        each(conversation);
        return found;
    }
    for message in conversation.elements() {
        let Ok([role, content, parts]) = message.fields(["role", "content", "parts"]) else { continue };
        let is_user = match role.and_then(JsonValue::string) {
            Some(role) => role == "user",
            // Gemini's users need not name themselves.
            None => content.is_none(),
        };
        let Some(content) = content.or(parts).filter(|_| is_user) else { continue };
        if content.is_string() {
            each(content);
        }
        for part in content.elements() {
            if let Ok([Some(text)]) = part.fields(["text"]) {
                each(text);
            }
        }
        break;
    }
    found
}
