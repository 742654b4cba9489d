//! What kind of device a `User-Agent` speaks of.

/// `Desktop`, `Mobile`, `Tablet`, or `Unknown` for programs and whatever does not say so plainly.
///
/// A hint, never a ground to trust somebody: clients say what they like. A tablet that asks for desktop sites, as iPads do,
/// calls itself a desktop and is taken for one.
pub(super) fn device_type(user_agent: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| user_agent.contains(word));
    // Crawlers call themselves browsers besides.
    if !user_agent.starts_with("Mozilla/") && !user_agent.starts_with("Opera/") || has(&PROGRAMS) {
        return "Unknown";
    }
    if has(&TABLETS) {
        return "Tablet";
    }
    // Android's browsers say `Mobile` on telephones and leave it out on tablets.
    if user_agent.contains("Android") {
        return if user_agent.contains("Mobile") {
            "Mobile"
        } else {
            "Tablet"
        };
    }
    if has(&TELEPHONES) {
        return "Mobile";
    }
    if has(&DESKTOPS) {
        return "Desktop";
    }
    "Unknown"
}

const PROGRAMS: [&str; 6] = ["bot", "Bot", "crawl", "spider", "Spider", "compatible; Google"];
const TABLETS: [&str; 6] = ["iPad", "Tablet;", "Tablet PC", "Kindle", "Silk/", "PlayBook"];
const TELEPHONES: [&str; 7] = [
    "iPhone",
    "iPod",
    "Windows Phone",
    "Mobile;",
    "KAIOS",
    "BlackBerry",
    "Opera Mini",
];
const DESKTOPS: [&str; 6] = ["Windows NT", "Macintosh", "X11;", "CrOS", "Linux x86_64", "Wayland"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_say_of_themselves_is_understood() {
        for (expected, user_agent) in [
            (
                "Desktop",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
            ),
            (
                "Desktop",
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
            ),
            (
                "Desktop",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
            (
                "Desktop",
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
            ),
            (
                "Mobile",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
            ),
            (
                "Mobile",
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
            ),
            (
                "Mobile",
                "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
            ),
            (
                "Tablet",
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
            ),
            (
                "Tablet",
                "Mozilla/5.0 (Android 15; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0",
            ),
            (
                "Tablet",
                "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1",
            ),
            (
                "Unknown",
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ),
            (
                "Unknown",
                "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) Chrome/141.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)",
            ),
            ("Unknown", "python-httpx/0.28.1"),
            ("Unknown", "curl/8.5.0"),
            ("Unknown", "okhttp/4.12.0"),
            ("Unknown", "Mozilla/5.0"),
            ("Unknown", ""),
        ] {
            assert_eq!(device_type(user_agent), expected, "{user_agent}");
        }
    }
}
