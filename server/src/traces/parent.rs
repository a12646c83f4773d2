//! The client's span, as the headers of W3C Trace Context name it.
//!
//! OpenTelemetry's own reader takes `traceparent` headers that the specification calls invalid:
//! numbers that are too short or have a sign, a dash at the end, and several headers at once.

use actix_web::http::header::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Length of a version-00 `traceparent`; later versions begin with the same fields.
const KNOWN_LEN: usize = 55;
/// Longest `tracestate` that is passed on, in bytes; it is what the specification asks for at
/// least. Every span of the request repeats it.
const STATE_BYTES: usize = 512;

/// Returns the client's span, if the headers name one.
pub(crate) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut named = headers.get_all("traceparent");
    let (Some(only), None) = (named.next(), named.next()) else {
        return None;
    };
    let (trace, span, flags) = parse(only.to_str().ok()?)?;
    let parent = SpanContext::new(trace, span, flags, true, state(headers));
    parent.is_valid().then_some(parent)
}

/// Parses `VERSION-TRACE-SPAN-FLAGS`, where later versions may append more.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = text.split_at_checked(KNOWN_LEN)?;
    let mut fields = known.split('-');
    let mut field = |len| fields.next().filter(|field| is_hex(field, len));
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let more = rest.starts_with('-') && version != "00";
    if version == "ff" || !(rest.is_empty() || more) {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
    ))
}

fn is_hex(field: &str, len: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    field.len() == len && field.bytes().all(digit)
}

/// Returns what other tracing systems have added, or nothing if that is too long or malformed.
fn state(headers: &HeaderMap) -> TraceState {
    let values: Option<Vec<&str>> = headers
        .get_all("tracestate")
        .map(|value| value.to_str().ok())
        .collect();
    let joined = values.unwrap_or_default().join(",");
    if joined.len() > STATE_BYTES {
        return TraceState::default();
    }
    joined.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn named(value: &str) -> Option<SpanContext> {
        parent(&headers(&[("traceparent", value)]))
    }

    #[test]
    fn the_clients_span_is_the_parent() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("fe", false)] {
            let parent = named(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
            assert_eq!(parent.trace_id().to_string(), TRACE);
            assert_eq!(parent.span_id().to_string(), SPAN);
            assert_eq!(parent.is_sampled(), sampled, "{flags}");
            assert!(parent.is_remote());
        }
        // Later versions may append fields.
        assert!(named(&format!("01-{TRACE}-{SPAN}-01")).is_some());
        assert!(named(&format!("cc-{TRACE}-{SPAN}-01-more")).is_some());
    }

    #[test]
    fn malformed_parents_are_none() {
        for value in [
            String::new(),
            "00".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!("CC-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0é"),
        ] {
            assert!(named(&value).is_none(), "{value:?}");
        }
        assert!(parent(&HeaderMap::new()).is_none());
        let once = format!("00-{TRACE}-{SPAN}-01");
        assert!(parent(&headers(&[("traceparent", &once), ("traceparent", &once)])).is_none());
    }

    #[test]
    fn a_state_goes_on_unless_it_is_long_or_malformed() {
        let parent_line = format!("00-{TRACE}-{SPAN}-01");
        let state = |lines: &[&str]| {
            let mut all = vec![("traceparent", parent_line.as_str())];
            all.extend(lines.iter().map(|line| ("tracestate", *line)));
            parent(&headers(&all)).unwrap().trace_state().header()
        };
        assert_eq!(state(&["a=1,b=2", "c=3"]), "a=1,b=2,c=3");
        assert_eq!(state(&[]), "");
        assert_eq!(state(&["no member"]), "");
        assert_eq!(state(&[&format!("a={}", "x".repeat(250))]).len(), 252);
        assert_eq!(state(&[&["abcdefg=1"; 60].join(",")]), "");
    }
}
