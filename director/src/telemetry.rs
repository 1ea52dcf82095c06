//! What the director logs, and how.

use nix::sys::stat::fstat;
use std::fmt;
use std::io::{IsTerminal, stderr};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Logs to standard error from here on: what `RUST_LOG` says, else `level` and above.
///
/// # Errors
/// `RUST_LOG` cannot be understood. Nothing is logged then.
pub fn init(format: LogFormat, level: Level) -> Result<(), ParseError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        Ok(_) | Err(_) => EnvFilter::new(level.as_str()),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // A subscriber that is set already is a test's; it may stay.
    let _ = match format {
        LogFormat::Text if is_the_journal() => subscriber.event_format(Journal).try_init(),
        LogFormat::Text => subscriber.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// `text`, which goes to standard error, as an error there: the journal is told that it is one.
#[must_use]
pub fn as_error(text: String) -> String {
    if is_the_journal() { marked(&text, Level::ERROR) } else { text }
}

/// True if standard error leads to systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(stderr()).is_ok_and(|it| stream == format!("{}:{}", it.st_dev, it.st_ino))
}

/// Lines for the journal, which dates them itself, and takes how much each matters from its beginning (sd-daemon(3)).
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        let plain = tracing_subscriber::fmt::format().without_time().with_level(false).with_ansi(false);
        plain.format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&marked(&text, *event.metadata().level()))
    }
}

/// Each line with how much it matters, in syslog's terms.
fn marked(text: &str, level: Level) -> String {
    let priority = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    text.lines().map(|line| format!("<{priority}>{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_line_tells_the_journal_how_much_it_matters() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .event_format(Journal);
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::error!("the old one stays:\n  wieght: 1");
            tracing::warn!(error = 7, "this");
            tracing::info!("that");
            tracing::trace!("more");
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let from = "director::telemetry::tests: ";
        let lines = [
            format!("<3>{from}the old one stays:"),
            "<3>  wieght: 1".to_owned(),
            format!("<4>{from}this error=7"),
            format!("<6>{from}that"),
            format!("<7>{from}more"),
        ];
        assert_eq!(log.lines().collect::<Vec<_>>(), lines);
    }
}
