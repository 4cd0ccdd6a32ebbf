//! An answer of an apiserver, and when a question is asked once more.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{HeaderMap, RETRY_AFTER};

use crate::http::Fault;

/// An apiserver asks for one second; a longer wait would hide from the table that nobody was served.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// After how long the server wants to be asked again, where it says so.
    pub again: Option<Duration>,
}

impl Answer {
    /// Reads a whole response; `broken` names the fault of a body that does not end.
    pub async fn read(
        response: hyper::Response<hyper::body::Incoming>,
        broken: impl FnOnce(&hyper::Error) -> Fault,
    ) -> Result<Self, Fault> {
        let (head, body) = response.into_parts();
        let (status, again) = (head.status.as_u16(), again(&head.headers));
        let body = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        Ok(Self { status, body, again })
    }

    /// Tells after how long a client of Kubernetes sends the request again by itself: an apiserver that is going away
    /// refuses what comes late on its old connections, and says that it did nothing with it.
    pub fn asked_again(&self) -> Option<Duration> {
        let refused = self.status == 429 || self.status >= 500;
        self.again.filter(|_| refused).map(|delay| delay.min(LONGEST_DELAY))
    }

    /// Tells whether the status is 2xx.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Gives the beginning of the body, for an error line.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!(
            "{}: {}",
            self.status,
            text.chars().take(200).collect::<String>().replace('\n', " ")
        )
    }
}

/// Reads `Retry-After` as the apiserver writes it: whole seconds.
fn again(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Runs a GET, and once more where client-go does so unseen by its user: when the connection closed before the first
/// byte of an answer, and when the server refused the request and said when to ask again.
///
/// Gives the last outcome, and why there was a first.
pub async fn with_one_retry<F>(attempt: impl Fn() -> F) -> (Result<Answer, Fault>, Option<String>)
where
    F: Future<Output = Result<Answer, Fault>>,
{
    let first = attempt().await;
    let (delay, reason) = match &first {
        Err(fault) if fault.may_retry() => (Duration::ZERO, fault.to_string()),
        Ok(answer) => match answer.asked_again() {
            Some(delay) => (delay, answer.excerpt()),
            None => return (first, None),
        },
        Err(_) => return (first, None),
    };
    tokio::time::sleep(delay).await;
    (attempt().await, Some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, seconds: Option<u64>) -> Answer {
        let body = Bytes::from_static(b"apiserver is shutting down");
        Answer { status, body, again: seconds.map(Duration::from_secs) }
    }

    /// Answers one after the other, as a server that goes away and the next one do.
    async fn retried(answers: &[Answer]) -> (u16, Option<String>, usize) {
        let asked = std::cell::Cell::new(0);
        let (outcome, first) = with_one_retry(|| {
            let answer = answers[asked.get()].clone();
            asked.set(asked.get() + 1);
            async { Ok(answer) }
        })
        .await;
        (outcome.unwrap().status, first, asked.get())
    }

    #[tokio::test]
    async fn a_server_that_asks_for_another_try_gets_one() {
        let leaving = answer(503, Some(0));
        let first = Some("503: apiserver is shutting down".to_string());
        assert_eq!(retried(&[leaving.clone(), answer(200, None)]).await, (200, first.clone(), 2));
        // One more try and no third: whoever is refused twice was not served.
        assert_eq!(retried(&[leaving.clone(), leaving]).await, (503, first, 2));
        for plain in [answer(503, None), answer(404, Some(1)), answer(200, Some(1))] {
            assert_eq!(retried(std::slice::from_ref(&plain)).await, (plain.status, None, 1));
        }
    }

    #[test]
    fn the_wait_is_the_servers_but_not_for_ever() {
        let wait = |status, seconds| answer(status, seconds).asked_again();
        assert_eq!(wait(429, Some(1)), Some(Duration::from_secs(1)));
        assert_eq!(wait(503, Some(600)), Some(LONGEST_DELAY));
        assert_eq!(wait(503, None), None);
        assert_eq!(wait(404, Some(1)), None);
    }

    #[test]
    fn a_delay_is_whole_seconds() {
        let read = |text: &'static str| {
            again(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]))
        };
        assert_eq!(read("1"), Some(Duration::from_secs(1)));
        assert_eq!(read("Sat, 21 Nov 2026 07:28:00 GMT"), None);
        assert_eq!(again(&HeaderMap::new()), None);
    }
}
