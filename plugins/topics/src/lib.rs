//! Topics: which categories a study visits, and in which order.
//!
//! `fixed`: the given categories, in an order that is shuffled for each group. `balanced`: the same in Latin squares, so
//! that turn and topic are not confounded. `embedding-distance`: the categories that lie far apart, by embeddings of
//! their names or items.
//!
//! `order` and `latin` make the orders, `farthest` chooses by distance, `bert` computes embeddings.
mod balanced;
mod bert;
mod distance;
mod farthest;
mod fixed;
mod latin;
mod order;
