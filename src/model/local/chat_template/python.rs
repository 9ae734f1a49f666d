//! The parts of Python that chat templates use: methods of texts, lists and maps, `tojson` as `json.dumps` writes it, and
//! the date.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const DAY: u64 = 24 * 60 * 60;
/// Lists and maps within each other that `tojson` writes.
const MOST_NESTED: usize = 64;

/// Adds to an environment what templates for `transformers` expect in it.
pub(super) fn extend(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("tojson", |value: &Value, options: Kwargs| {
        let (indent, _): (Option<usize>, Option<bool>) =
            (options.get("indent")?, options.get("ensure_ascii")?);
        options.assert_all_used()?;
        json(value, indent)
    });
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        date(format, seconds)
    });
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A method that the engine has not.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return text_method(state, text, name, args);
    }
    match (value.kind(), name) {
        (ValueKind::Map, "items") => {
            let () = from_args(args)?;
            state.apply_filter("items", std::slice::from_ref(value))
        }
        (ValueKind::Map, "keys") => {
            let () = from_args(args)?;
            Ok(value.try_iter()?.collect())
        }
        (ValueKind::Map, "values") => {
            let () = from_args(args)?;
            value.try_iter()?.map(|key| value.get_item(&key)).collect()
        }
        (ValueKind::Map, "get") => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            let missing = || default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { missing() } else { found })
        }
        (ValueKind::Seq, "index" | "count") => {
            let (wanted,): (Value,) = from_args(args)?;
            let mut items = value.try_iter()?;
            if name == "count" {
                return Ok(Value::from(items.filter(|item| *item == wanted).count()));
            }
            let place = items.position(|item| item == wanted);
            place.map(Value::from).ok_or_else(|| invalid("the list does not have it"))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// A method of Python's `str`.
fn text_method(state: &mut State, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(args)?;
            Value::from(stripped(text, name, characters))
        }
        "split" | "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            Value::from(split(text, separator, most, name == "rsplit")?)
        }
        "splitlines" => {
            let () = from_args(args)?;
            Value::from(text.lines().map(str::to_owned).collect::<Vec<_>>())
        }
        "startswith" | "endswith" => {
            let (parts,): (Value,) = from_args(args)?;
            let found =
                |part: &str| if name == "startswith" { text.starts_with(part) } else { text.ends_with(part) };
            let one = parts.as_str().map(found);
            let any = || Ok::<_, Error>(parts.try_iter()?.any(|part| part.as_str().is_some_and(found)));
            Value::from(one.map_or_else(any, Ok)?)
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let rest = if name == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
            Value::from(rest.unwrap_or(text))
        }
        "replace" => {
            let (old, new, most): (&str, &str, Option<usize>) = from_args(args)?;
            let result = most.map_or_else(|| text.replace(old, new), |most| text.replacen(old, new, most));
            Value::from(result)
        }
        "find" | "rfind" => {
            let (part,): (&str,) = from_args(args)?;
            let found = if name == "find" { text.find(part) } else { text.rfind(part) };
            found.map_or_else(|| Value::from(-1), |at| Value::from(text[..at].chars().count()))
        }
        "count" => {
            let (part,): (&str,) = from_args(args)?;
            Value::from(text.matches(part).count())
        }
        "join" => {
            let (parts,): (Value,) = from_args(args)?;
            state.apply_filter("join", &[parts, Value::from(text)])?
        }
        "isdigit" => {
            let () = from_args(args)?;
            Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))
        }
        "upper" | "lower" | "title" | "capitalize" => {
            let () = from_args(args)?;
            state.apply_filter(name, &[Value::from(text)])?
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn stripped<'a>(text: &'a str, name: &str, characters: Option<&str>) -> &'a str {
    let goes = |c: char| characters.map_or(c.is_whitespace(), |characters| characters.contains(c));
    let text = if name == "rstrip" { text } else { text.trim_start_matches(goes) };
    if name == "lstrip" { text } else { text.trim_end_matches(goes) }
}

/// Cuts at a separator, or at white space, at most so often; a negative number of times is without a bound.
fn split(text: &str, separator: Option<&str>, most: Option<i64>, last: bool) -> Result<Vec<String>, Error> {
    let most = most.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<&str> = match (separator, most) {
        (Some(""), _) => return Err(invalid("an empty text separates nothing")),
        (Some(separator), None) => text.split(separator).collect(),
        (Some(separator), Some(most)) if last => {
            let mut parts: Vec<_> = text.rsplitn(most + 1, separator).collect();
            parts.reverse();
            parts
        }
        (Some(separator), Some(most)) => text.splitn(most + 1, separator).collect(),
        (None, None) => text.split_whitespace().collect(),
        (None, Some(_)) => return Err(invalid("white space is cut everywhere or nowhere here")),
    };
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// Python's `json.dumps` without the escapes of characters beyond ASCII, as `transformers` has it; HTML means nothing here.
fn json(value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let mut out = String::new();
    write_json(value, indent, 0, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > MOST_NESTED {
        return Err(invalid(format!("more than {MOST_NESTED} lists and maps within each other")));
    }
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::Map => {
            let write = |key: Value, out: &mut String| {
                out.push_str(&quoted(&key.to_string())?);
                out.push_str(": ");
                write_json(&value.get_item(&key)?, indent, depth + 1, out)
            };
            write_items(value, ["{", "}"], (indent, depth), out, write)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let write = |item: Value, out: &mut String| write_json(&item, indent, depth + 1, out);
            write_items(value, ["[", "]"], (indent, depth), out, write)?;
        }
        _ => out.push_str(&quoted(&value.to_string())?),
    }
    Ok(())
}

fn write_items(
    items: &Value,
    [open, close]: [&str; 2],
    (indent, depth): (Option<usize>, usize),
    out: &mut String,
    write: impl Fn(Value, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |depth: usize| indent.map(|by| format!("\n{}", " ".repeat(by.min(16) * depth)));
    out.push_str(open);
    let mut none = true;
    for item in items.try_iter()? {
        if !none {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        none = false;
        out.extend(line(depth + 1));
        write(item, out)?;
    }
    if !none {
        out.extend(line(depth));
    }
    out.push_str(close);
    Ok(())
}

fn quoted(text: &str) -> Result<String, Error> {
    serde_json::to_string(text).map_err(|error| invalid(error.to_string()))
}

/// The date and time in UTC, so many seconds after the start of 1970, in the form of C's `strftime`.
fn date(format: &str, seconds: u64) -> Result<String, Error> {
    let (year, month, day, of_year) = day_of(seconds / DAY);
    let weekday = WEEKDAYS[(seconds / DAY % 7) as usize];
    let time = seconds % DAY;
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let part = match characters.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{:02}", month + 1),
            Some('B') => MONTHS[month].to_owned(),
            Some('b') => MONTHS[month][..3].to_owned(),
            Some('d') => format!("{day:02}"),
            Some('j') => format!("{of_year:03}"),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{:02}", time / 3600),
            Some('M') => format!("{:02}", time / 60 % 60),
            Some('S') => format!("{:02}", time % 60),
            Some('%') => "%".to_owned(),
            other => return Err(invalid(format!("no part of a date is written %{}", other.unwrap_or(' ')))),
        };
        out.push_str(&part);
    }
    Ok(out)
}

/// Year, number of the month from 0 on, day of the month and day of the year of a day counted from the start of 1970.
fn day_of(mut days: u64) -> (u64, usize, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let of_year = days + 1;
    let mut month = 0;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1, of_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // As `date --utc --date=@SECONDS` has them.
        let full = |seconds| date("%a %A %d %b %B %Y %y-%m %H:%M:%S %j %%", seconds).unwrap();
        assert_eq!(full(0), "Thu Thursday 01 Jan January 1970 70-01 00:00:00 001 %");
        assert_eq!(full(951_827_696), "Tue Tuesday 29 Feb February 2000 00-02 12:34:56 060 %");
        assert_eq!(full(4_102_444_799), "Thu Thursday 31 Dec December 2099 99-12 23:59:59 365 %");
        assert!(date("%Q", 0).is_err() && date("100%", 0).is_err());
    }

    #[test]
    fn json_that_nests_too_deeply_is_an_error() {
        let nested = (0..100).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(write_json(&nested, None, 0, &mut String::new()).is_err());
    }
}
