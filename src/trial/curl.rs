//! The same call as a command for a shell.

use crate::interceptor::{Authentication, Prepared, Settings};

/// A `curl` command that repeats the request: signature and ids as they were computed, no secret, the values of authentication
/// as variables that the reader sets. The signature is good until the endpoint finds the timestamp too old.
pub fn curl(request: &Prepared, settings: &Settings) -> String {
    let mut words = vec!["curl --silent --show-error --include".to_owned()];
    for (name, value) in &request.headers {
        words.push(match value.as_str() {
            // Double quotes, so that the shell puts the variable in. The name is a token (RFC 9110 §5.1) and `***` stands for the secret.
            "***" => format!("--header \"{name}: ${AUTHENTICATION}\""),
            value => format!("--header {}", quoted(&format!("{name}: {value}"))),
        });
    }
    if let Some(Authentication::ClientCertificate { certificate, .. }) = &settings.authentication {
        words.push(format!("--cert {}", quoted(&certificate.to_string_lossy())));
        words.push(format!("--key \"${CLIENT_KEY}\""));
    }
    if let Some(ca) = &settings.ca {
        words.push(format!("--cacert {}", quoted(&ca.to_string_lossy())));
    }
    words.push(format!(
        "--data-binary {}",
        quoted(&String::from_utf8_lossy(&request.body))
    ));
    words.push(quoted(&request.url));
    words.join(" \\\n  ")
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The whole value of the header that authenticates, such as `Bearer …`.
const AUTHENTICATION: &str = "AUTHENTICATION";

/// The file with the key of the client certificate.
const CLIENT_KEY: &str = "CLIENT_KEY";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(headers: &[(&str, &str)], body: &str) -> Prepared {
        Prepared {
            url: "https://hooks.example.com/a?b='c'".into(),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: body.to_owned().into(),
            signed: String::new(),
        }
    }

    fn settings(more: serde_json::Value) -> Settings {
        let mut table = json!({"name": "a", "trigger": "PRE_SIGNUP", "endpoint": "https://x/", "secret": {"env": "X"}});
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(table).unwrap()
    }

    #[test]
    fn a_shell_reads_back_what_was_sent_and_finds_a_variable_for_the_secret() {
        let request = request(
            &[("interceptor-id", "1"), ("authorization", "***")],
            r#"{"a":"it's $HOME `x`"}"#,
        );
        let line = curl(&request, &settings(json!({})));
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\nAUTHENTICATION='Bearer t'\n{line}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            words.lines().skip(3).collect::<Vec<_>>(),
            [
                "--header",
                "interceptor-id: 1",
                "--header",
                "authorization: Bearer t",
                "--data-binary",
                r#"{"a":"it's $HOME `x`"}"#,
                "https://hooks.example.com/a?b='c'",
            ]
        );
    }

    #[test]
    fn a_client_certificate_is_named_and_its_key_is_not() {
        let certificate = json!({"certificate": "c.pem", "key": {"file": "c.key"}});
        let settings = settings(json!({"ca": "root.pem", "authentication": {"client_certificate": certificate}}));
        let line = curl(&request(&[], "{}"), &settings);
        assert!(
            line.contains("--cert 'c.pem' \\\n  --key \"$CLIENT_KEY\" \\\n  --cacert 'root.pem'"),
            "{line}"
        );
        assert!(!line.contains("c.key"));
    }
}
