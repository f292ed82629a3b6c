//! Answers requests of `scripts/check_masks.py`: a JSON object a line from standard input, an answer a line
//! to standard output.
//!
//! ```text
//! echo '{"op": "polygons", "size": [10, 10], "segmentation": [[0, 0, 9, 0, 9, 9]]}' \
//!     | cargo run -p longtail-mask --example mask_answers
//! ```

mod answer;

use std::io::{BufRead, BufWriter, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut output = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let answer = answer::answer(&serde_json::from_str(&line?)?);
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        // The one who asks waits for each answer.
        output.flush()?;
    }
    Ok(())
}
