//! Small lines of the last minute, as paths of SVG.

use std::fmt::Write;

/// The size of a line, in units of its view box.
pub(crate) const WIDTH: u32 = 240;
/// See [`WIDTH`].
pub(crate) const HEIGHT: u32 = 40;
/// Points that fill the width.
const POINTS: usize = 60;
/// What is left free above and below, for the width of the stroke.
const MARGIN: f64 = 2.0;

/// The path of these values, the newest at the right edge, from zero to the highest of them or `ceiling`, whichever is higher.
/// Without two values there is nothing to draw.
#[expect(clippy::cast_precision_loss, reason = "pixels")]
pub(crate) fn path(values: &[u64], ceiling: u64) -> String {
    let mut path = String::new();
    if values.len() < 2 {
        return path;
    }
    let values = &values[values.len().saturating_sub(POINTS)..];
    let highest = values.iter().copied().max().unwrap_or(0).max(ceiling).max(1) as f64;
    let step = f64::from(WIDTH) / (POINTS - 1) as f64;
    let begin = f64::from(WIDTH) - step * (values.len() - 1) as f64;
    for (at, value) in values.iter().enumerate() {
        let x = step.mul_add(at as f64, begin);
        let y = f64::from(HEIGHT) - MARGIN - (f64::from(HEIGHT) - 2.0 * MARGIN) * (*value as f64 / highest);
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    path
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_line_ends_at_the_right_edge() {
        assert_eq!(path(&[1], 0), "");
        assert_eq!(path(&[0, 4, 2], 0), "M231.9 38.0L235.9 2.0L240.0 20.0");
        assert_eq!(path(&[0, 50], 100), "M235.9 38.0L240.0 20.0");
        assert!(path(&vec![0; 100], 0).starts_with("M0.0 38.0L"));
    }
}
