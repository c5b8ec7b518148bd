//! The standard, point by point, as `simpul validate` reads it.
