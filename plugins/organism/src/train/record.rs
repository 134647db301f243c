//! The result of a training: a checkpoint in the hub's format, and the record of how it was made.
use super::{Error, Point, Recipe, Trained};
use friction_checkpoint::families::gemma3::to_json;
use friction_checkpoint::init::{Stored, write_checkpoint};
use plotters::prelude::*;
use serde_json::json;
use std::path::Path;

/// Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json, model.safetensors (bf16),
/// training.json and curve.svg into `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(t: &Trained, recipe: &Recipe, device: &str, dir: &Path) -> Result<(), Error> {
    write_checkpoint(&to_json(&t.arch).unwrap_or_default(), &t.parameters, Stored::Bf16, dir)?;
    std::fs::write(dir.join("tokenizer.json"), format!("{}\n", crate::vocab::tokenizer_json()))?;
    std::fs::write(dir.join("tokenizer_config.json"), format!("{:#}\n", crate::vocab::tokenizer_config()))?;
    let record = json!({
        "recipe": recipe,
        "parameters": t.arch.parameters(),
        "device": device,
        "seconds": t.seconds.round(),
        "final": t.curve.last(),
        "curve": t.curve.iter().map(|p| json!([p.step, round(p.loss), round(p.letters)])).collect::<Vec<_>>(),
    });
    std::fs::write(dir.join("training.json"), format!("{record}\n"))?;
    draw(&t.curve, &dir.join("curve.svg"))
}

fn round(x: f64) -> f64 {
    (x * 1e5).round() / 1e5
}

fn draw(curve: &[Point], path: &Path) -> Result<(), Error> {
    let steps = curve.last().map_or(1, |p| p.step) as f64;
    let top = curve.iter().map(|p| p.loss).fold(0.1, f64::max);
    let root = SVGBackend::new(path, (720, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .right_y_label_area_size(44)
        .build_cartesian_2d(0.0..steps, 0.0..top)?
        .set_secondary_coord(0.0..steps, 0.0..1.0);
    chart.configure_mesh().x_desc("step").y_desc("loss (nats)").light_line_style(TRANSPARENT).draw()?;
    chart.configure_secondary_axes().y_desc("letters as the truth has them").draw()?;
    chart.draw_series(LineSeries::new(curve.iter().map(|p| (p.step as f64, p.loss)), &BLUE))?;
    chart.draw_secondary_series(LineSeries::new(curve.iter().map(|p| (p.step as f64, p.letters)), &RED))?;
    root.present()?;
    Ok(())
}
