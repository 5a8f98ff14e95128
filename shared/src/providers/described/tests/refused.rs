//! Every way in which a description could accept too much, or say nothing, is refused by name.

use super::*;
use crate::providers::described::parse_table;

#[test]
fn the_minimal_description_is_accepted() {
    read(MINIMAL).unwrap();
}

/// What is replaced in the minimal description, by what, and the message.
const ROWS: &[(&str, &str, &str)] = &[
    ("[[checks]]", "[[cheques]]", "cheques: unknown field `cheques`"),
    ("covers = \"body\"", "covers = \"all\"", "covers: unknown variant `all`"),
    ("title = \"Minimal\"", "title = \" \"", "title: must not be blank"),
    ("\"hmac-sha256\"", "\"sha3\"", "checks[0].algorithm: unknown variant `sha3`"),
    ("\"hmac-sha256\"", "\"sha256\"", "checks[0].signed: does not name `{key}`"),
    ("\"hmac-sha256\"", "\"none\"", "checks[0].algorithm: unknown variant `none`"),
    ("key = { field = \"secret\", encoding = \"utf8\" }", "", "checks[0]: missing field `key`"),
    (
        "field = \"secret\"",
        "field = \"secrt\"",
        "checks[0].key.field: `secrt` is not listed in `credentials`",
    ),
    ("encoding = \"utf8\"", "encoding = \"pem\"", "checks[0].key.encoding: does not fit the algorithm"),
    ("\"header:X-Signature\"", "\"X-Signature\"", "checks[0].signature.at: `X-Signature` is not a place"),
    ("\"header:X-Signature\"", "\"body\"", "checks[0].signature.at: must be a header"),
    ("\"header:X-Signature\"", "\"json:/sign\"", "checks[0].signature.at: is inside the body that it signs"),
    ("encoding = \"hex\"", "encoding = \"text\"", "checks[0].signature.encoding: only a token is `text`"),
    (
        "encoding = \"hex\"",
        "encoding = \"hex\", take = \"v1\"",
        "checks[0].signature.assign: is needed with `take`",
    ),
    (
        "encoding = \"hex\"",
        "encoding = \"hex\", assign = \"=\", take = \"v1\"",
        "checks[0].signature.separator: is needed with `assign`",
    ),
    (
        "encoding = \"hex\"",
        "encoding = \"hex\", separator = \"\"",
        "checks[0].signature.separator: must not be empty",
    ),
    (
        "[events]",
        "[payloads]\npayed = \"{}\"\n[events]",
        "payloads.payed: is not a scenario; there are paid,",
    ),
    ("signed = \"{body}\"", "", "checks[0].signed: is missing"),
    ("signed = \"{body}\"", "signed = \"\"", "checks[0].signed: names nothing of the request"),
    (
        "signed = \"{body}\"",
        "signed = \"{credential:secret}\"",
        "checks[0].signed: names nothing of the request",
    ),
    ("signed = \"{body}\"", "signed = \"{json:/id}\"", "checks[0].signed: does not name `{body}`"),
    (
        "signed = \"{body}\"",
        "signed = \"{credential:other}.{body}\"",
        "checks[0].signed: `other` is not listed",
    ),
    (
        "signed = \"{body}\"",
        "signed = \"{variant}.{body}\"",
        "checks[0].signed: `variant` is not known before",
    ),
    (
        "\"{json:/type}\"",
        "\"{credential:secret}\"",
        "events.type: `credential:secret` is not known when events",
    ),
    ("\"{json:/type}\"", "\"{variant}\"", "events.type: `variant` needs a variant for each"),
    (
        "signed = \"{body}\"",
        "signed = \"{json:/id}{body}\"",
        "checks[0].signed: needs a separator behind `json:/id`",
    ),
    (
        "signed = \"{body}\"",
        "signed = \"{body\"",
        "checks[0].signed: the braces or brackets of `{body` do not match",
    ),
    ("signed = \"{body}\"", "signed = \"{entry:t}.{body}\"", "needs `checks[0].signature.assign`"),
    (
        "[events]",
        "[timestamp]\nat = \"header:X-Time\"\nunit = \"seconds\"\ntolerance_seconds = 300\n[events]",
        "timestamp.at: `header:x-time` is not signed by checks[0]",
    ),
    (
        "[events]",
        "[timestamp]\nat = \"json:/at\"\nunit = \"seconds\"\ntolerance_seconds = 0\n[events]",
        "timestamp.tolerance_seconds: must be positive",
    ),
    ("[events]", "[events]\nid = [\"{header:X-Id}\"]", "events.id[0]: `header:x-id` is not signed"),
    ("\"{json:/type}\"", "\"{header:X-Topic}\"", "events.type: `header:x-topic` is not signed"),
    (
        "kind = \"payment.captured\"",
        "kind_at = \"query:state\", kinds = { ok = \"payment.captured\" }",
        "events.types.\"paid\".kind_at: `query:state` is not signed",
    ),
    (
        "subject_id = [\"json:/order\"]",
        "subject_id = [\"json:/order\", \"query:order\"]",
        "events.facts.payment.subject_id[1]: `query:order` is not signed",
    ),
    (
        "\"json:/amount\"",
        "\"header:X-Amount\"",
        "events.facts.payment.amount: `header:x-amount` is not signed",
    ),
    ("\"json:/currency\"", "\"path\"", "events.facts.payment.amount: `path` is not signed"),
    (
        "[events]",
        "[[identity]]\nat = \"header:X-Shop\"\nexpected = \"secret\"\n[events]",
        "identity[0].at: `header:x-shop` is not signed",
    ),
    ("[events]", "[events]\nitems = \"/events\"\nid = [\"{json:/id}\"]", "events.id[0]: names no `item:`"),
    ("\"{json:/type}\"", "\"{item:/type}\"", "events.type: `item:/type` needs `events.items`"),
    (
        "\"payment.captured\"",
        "\"payment.paid\"",
        "events.types.\"paid\".kind: `payment.paid` is not in the vocabulary",
    ),
    ("kind = \"payment.captured\", ", "", "events.types.\"paid\": needs either `kind` or `kind_at`"),
    (", facts = \"payment\"", "", "events.types.\"paid\".facts: is missing"),
    ("[events.types]", "[events.types]\nx = \"y\"", "events.types.\"x\": `y` is not a type with a rule"),
    (
        "[events.types]",
        "[events.types]\nx = \"z\"\nz = \"paid\"",
        "events.types.\"x\": `z` is not a type with a rule",
    ),
    (
        "facts = \"payment\"",
        "facts = \"payments\"",
        "events.types.\"paid\".facts: there is no `events.facts.payments`",
    ),
    ("amount = {", "status = []\n#", "events.facts.payment.amount: is missing; `payment.captured` needs it"),
    ("transaction_id = [\"json:/id\"]", "", "events.facts.payment.transaction_id: is missing"),
    ("subject_id = [\"json:/order\"]", "", "events.facts.payment.subject_id: is missing"),
    (", currency = [\"json:/currency\"]", "", "events.facts.payment.amount.currency: is missing"),
    (
        "currency = [\"json:/currency\"]",
        "fixed_currency = \"XYZ\"",
        "events.facts.payment.amount.fixed_currency: `XYZ` is unknown",
    ),
    ("signed = \"{body}\"", "signed = \"{body}{sorted}\"", "`sorted` needs `checks[0].sorted`"),
    ("signed = \"{body}\"", "signed = \"{item:/a}{body}\"", "`item:/a` needs `checks[0].each_item`"),
    (
        "signed = \"{body}\"",
        "signed = \"{body}\"\neach_item = \"/a\"",
        "checks[0].signature.at: is not inside of each item",
    ),
    (
        "signed = \"{body}\"",
        "signed = \"{body}\"\nfree_field = \"json:/a\"",
        "checks[0].free_field: is not one of the fields",
    ),
    (
        "signed = \"{body}\"",
        "signed = \"{url}{body}\"",
        "`url` needs `notification_url` among the `credentials`",
    ),
    ("\"hmac-sha256\"", "\"token\"", "checks[0].signed: a token signs nothing"),
    (
        "title = \"Minimal\"",
        "title = \"Minimal\"\nanswers = { success_body = \"{credential:secret}\" }",
        "answers.success_body: `credential:secret` is not part of the request",
    ),
    (
        "[events]",
        "[handshake]\nwhen = \"header:X-Check\"\nbody = \"{credential:secret}\"\n[events]",
        "handshake.body: `credential:secret` is not part of the request",
    ),
    ("\"payment.captured\"", "\"refund.succeeded\"", "events.facts.payment.refund_id: is missing"),
];

#[test]
fn a_refusal_names_the_field() {
    let mut wrong = Vec::new();
    for (from, to, message) in ROWS {
        let error = match read(&changed(&[(from, to)])) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        };
        if !(error.starts_with("provider `minimal`: ") && error.contains(message)) {
            wrong.push(format!("{from} -> {to}\n  said {error}\n  not  {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_check_at_all_is_refused() {
    let table: toml::Table = MINIMAL.parse().unwrap();
    let mut without = table.clone();
    without.insert("checks".to_owned(), toml::Value::Array(Vec::new()));
    let error = Description::from_table("minimal", without).unwrap_err();
    assert_eq!((error.provider.as_str(), error.field.as_str()), ("minimal", "checks"));
    assert!(
        Description::from_table("Minimal Pay", table)
            .unwrap_err()
            .to_string()
            .contains("name: must be 1 to 64")
    );
}

#[test]
fn text_that_would_use_up_the_stack_is_refused() {
    let key_of_79_parts = ["a"; 79].join(".");
    for unit in ["{a=", "[", "[\"]\", ", "{a=[", "[}", "{\"}\"=", &format!("{{{key_of_79_parts}=")] {
        for start in ["name = ", "", "name.of.it = "] {
            let error = Description::from_text("nested", &(start.to_owned() + &unit.repeat(2_000)));
            assert_eq!(error.unwrap_err().problem, "it nests deeper than 100 levels", "{start}{unit}");
        }
    }
    let dotted = ["a"; 10_000].join(".");
    for text in [format!("{dotted} = 1"), format!("[{dotted}]"), format!("[[{dotted}]]")] {
        assert!(Description::from_text("nested", &text).is_err());
    }
}

#[test]
fn brackets_in_texts_and_comments_do_not_nest() {
    let brackets = "[{".repeat(200);
    for text in [
        format!("# {brackets}"),
        format!("a = \"{brackets}\""),
        format!("a = '{brackets}'"),
        format!("a = \"\"\"\n{brackets}\"\"\""),
        format!("a = [\"{brackets}\", {{ \"{brackets}\" = 1.5 }}]"),
        "[a.b]\nc.d = [[1.5, 2.5], {e.f = 1}]\n".to_owned(),
        "[[a]]\nb = 1.5\n".repeat(200),
    ] {
        assert!(parse_table(&text).is_ok(), "{text}");
    }
}

/// A public key is known to everybody, and a signature is not part of what it signs.
#[test]
fn what_proves_nothing_is_not_signed() {
    let public = [("\"hmac-sha256\"", "\"rsa-pkcs1v15-sha256\""), ("\"utf8\"", "\"pem\"")];
    let with_key = [public[0], public[1], ("{body}", "{key}.{body}")];
    let in_path = [("header:X-Signature", "query:sign"), ("{body}", "{path}.{body}")];
    let in_query = [("header:X-Signature", "query:sign")];
    for (changes, message) in [
        (&public[..], ""),
        (&with_key[..], "checks[0].signed: `key` is public"),
        (&in_path[..], "checks[0].signature.at: is inside the body that it signs"),
        (&in_query[..], ""),
    ] {
        let said = read(&changed(changes)).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(said.contains(message) && said.is_empty() == message.is_empty(), "{changes:?}: {said}");
    }
}

#[test]
fn a_token_proves_the_sender_alone() {
    let token = [
        ("algorithm = \"hmac-sha256\"", "algorithm = \"token\""),
        ("encoding = \"hex\"", "encoding = \"text\""),
        ("signed = \"{body}\"", ""),
    ];
    let error = read(&changed(&token)).unwrap_err();
    assert!(error.to_string().contains("covers: must be `nothing`"), "{error}");
    read(&changed(&token).replace("covers = \"body\"", "covers = \"nothing\"")).unwrap();
}

#[test]
fn a_hash_that_others_could_make_or_lengthen_is_refused() {
    let hash = ("\"hmac-sha256\"", "\"sha256\"");
    for (signed, message) in [
        ("{body}", "does not name `{key}`"),
        ("{body}[.{key}:{json:/a}]", "does not name `{key}`"),
        ("{body}{key?}", "does not name `{key}`"),
        ("{key}{body}", "begins with `{key}`"),
        ("a{key}.{body}", "begins with `{key}`"),
        ("{body}{key}", ""),
        ("{key}{body}{key}", ""),
    ] {
        let text = changed(&[hash, ("{body}", signed)]);
        let said = read(&text).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(said.contains(message) && said.is_empty() == message.is_empty(), "{signed}: {said}");
        // What only hints may be proved by anything that the provider really does.
        let hint = text.replace("covers = \"body\"", "covers = \"nothing\"");
        assert_eq!(read(&hint).is_ok(), !message.contains("does not name"), "{signed}");
    }
}

#[test]
fn facts_outside_the_signed_fields_are_refused() {
    let fields = [
        ("covers = \"body\"", "covers = \"fields\""),
        ("signed = \"{body}\"", "signed = \"{json:/type}|{json:/order}|{json:/id}|{json:/amount}\""),
    ];
    let error = read(&changed(&fields)).unwrap_err().to_string();
    assert!(error.contains("amount: `json:/currency` is not signed"), "{error}");
    read(&changed(&fields).replace("{json:/amount}", "{json:/amount}|{json:/currency}")).unwrap();
}
