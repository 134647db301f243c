//! Steering: does changing a direction in the activations change the answers? The hook `steer` makes arms of doses and
//! of controls; the analyzer `steering` compares each arm with the untouched control arm.
mod arms;
mod check;
mod edits;
mod effects;
mod figure;
mod headline;
mod hook;
mod locked;
mod options;
mod reconstruct;
mod report;
mod response;
