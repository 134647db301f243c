//! What a training leaves: a checkpoint in the hub's format, and the record of how it was made.
use super::{Error, Point, Recipe, Trained};
use half::bf16;
use plotters::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::path::Path;

/// Writes config.json, generation_config.json, tokenizer.json, model.safetensors (bf16), training.json
/// and curve.svg into `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(t: &Trained, recipe: &Recipe, device: &str, dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(dir)?;
    let data: Vec<(String, &Vec<usize>, Vec<u8>)> = t
        .parameters
        .iter()
        .map(|(name, shape, values)| {
            let bytes = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
            (format!("model.{name}"), shape, bytes)
        })
        .collect();
    let views = data
        .iter()
        .map(|(n, s, b)| Ok((n.clone(), TensorView::new(Dtype::BF16, (*s).clone(), b)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let meta = Some([("format".to_string(), "pt".to_string())].into());
    safetensors::serialize_to_file(views, meta, &dir.join("model.safetensors"))?;
    let json = |name: &str, v: &serde_json::Value| std::fs::write(dir.join(name), format!("{v:#}\n"));
    json("config.json", &t.config.to_json())?;
    json(
        "generation_config.json",
        &json!({"bos_token_id": t.config.bos, "eos_token_id": t.config.eos, "pad_token_id": 0}),
    )?;
    std::fs::write(dir.join("tokenizer.json"), format!("{}\n", crate::vocab::tokenizer_json()))?;
    let last = t.curve.last();
    json(
        "training.json",
        &json!({
            "recipe": recipe,
            "parameters": t.config.parameters(),
            "device": device,
            "seconds": t.seconds.round(),
            "final": last,
            "curve": t.curve.iter().map(|p| json!([p.step, round(p.loss), round(p.letters)])).collect::<Vec<_>>(),
        }),
    )?;
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
