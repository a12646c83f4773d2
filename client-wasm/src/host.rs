//! Values of the host.

use blindscore_protocol::json::{Json, Object};
use js_sys::Array;
use wasm_bindgen::prelude::*;

/// Maximum depth of lists and objects in each other, so that no descriptor exhausts the stack. This
/// version's need ten.
const DEPTH: usize = 64;

/// Converts JSON that the host has parsed: with a parser, the WebAssembly would be a sixth larger.
///
/// # Errors
/// If something else is in it, a text has half a surrogate pair, or it is nested too deeply.
pub(crate) fn json(value: &JsValue) -> Result<Json, String> {
    nested(value, DEPTH)
}

fn nested(value: &JsValue, depth: usize) -> Result<Json, String> {
    if value.is_null() {
        return Ok(Json::Null);
    }
    if let Some(number) = value.as_f64() {
        return Ok(Json::Number(number));
    }
    if let Some(text) = value.as_string() {
        // The conversion replaces what is not Unicode.
        return if text.contains(char::REPLACEMENT_CHARACTER) && *value != *text {
            Err("a text in it is not Unicode".into())
        } else {
            Ok(Json::Text(text))
        };
    }
    if let Some(flag) = value.as_bool() {
        return Ok(Json::Bool(flag));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err("it is nested too deeply".into());
    };
    if let Some(list) = value.dyn_ref::<Array>() {
        let list: Result<Vec<Json>, String> = list.iter().map(|value| nested(&value, depth)).collect();
        return list.map(Json::List);
    }
    let Some(object) = value.dyn_ref::<js_sys::Object>() else {
        return Err("it is not JSON".into());
    };
    let fields: Result<Object, String> = js_sys::Object::entries(object)
        .iter()
        .map(|entry| {
            let entry: Array = entry.unchecked_into();
            let name = entry.get(0).as_string().unwrap_or_default();
            Ok((name, nested(&entry.get(1), depth)?))
        })
        .collect();
    fields.map(Json::Object)
}
