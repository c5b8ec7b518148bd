//! Geographic points, GeoJSON and TopoJSON.

use serde_json::Value;

/// Reads `lon, lat`.
pub(crate) fn point_text(text: &str) -> Option<(f64, f64)> {
    let (lon, lat) = text.split_once(',')?;
    let form = super::number::NumberForm::default();
    in_range(super::number::number(lon, &form)?, super::number::number(lat, &form)?)
}

/// Reads `[lon, lat]`.
pub(crate) fn point_array(value: &Value) -> Option<(f64, f64)> {
    match value.as_array()?.as_slice() {
        [lon, lat] => in_range(lon.as_f64()?, lat.as_f64()?),
        _ => None,
    }
}

/// Reads `{"lon": …, "lat": …}` with exactly these keys.
pub(crate) fn point_object(value: &Value) -> Option<(f64, f64)> {
    let object = value.as_object()?;
    if object.len() != 2 {
        return None;
    }
    in_range(object.get("lon")?.as_f64()?, object.get("lat")?.as_f64()?)
}

fn in_range(lon: f64, lat: f64) -> Option<(f64, f64)> {
    (lon.abs() <= 180.0 && lat.abs() <= 90.0).then_some((lon, lat))
}

/// Whether the value is a GeoJSON object (RFC 7946), by structure.
pub(crate) fn is_geojson(value: &Value) -> bool {
    match kind(value) {
        Some("Feature") => is_feature(value),
        Some("FeatureCollection") => {
            value.get("features").and_then(Value::as_array).is_some_and(|features| features.iter().all(is_feature))
        }
        _ => is_geometry(value),
    }
}

/// Whether the value is a TopoJSON object, by structure: a topology or one of its geometries.
pub(crate) fn is_topojson(value: &Value) -> bool {
    if kind(value) != Some("Topology") {
        return is_arc_geometry(value);
    }
    let objects = value.get("objects").and_then(Value::as_object);
    let arcs = value.get("arcs").and_then(Value::as_array);
    objects.is_some_and(|objects| objects.values().all(is_arc_geometry))
        && arcs.is_some_and(|arcs| arcs.iter().all(|arc| positions(arc, 1)))
}

/// A geometry whose lines are numbers of arcs; a point has its own coordinates.
fn is_arc_geometry(value: &Value) -> bool {
    let depth = match kind(value) {
        Some("Point") => return coordinates(value, 0),
        Some("MultiPoint") => return coordinates(value, 1),
        Some("LineString") => 1,
        Some("MultiLineString" | "Polygon") => 2,
        Some("MultiPolygon") => 3,
        Some("GeometryCollection") => {
            let parts = value.get("geometries").and_then(Value::as_array);
            return parts.is_some_and(|parts| parts.iter().all(is_arc_geometry));
        }
        // A geometry that is not there.
        None => return value.get("type").is_some_and(Value::is_null),
        _ => return false,
    };
    value.get("arcs").is_some_and(|arcs| arc_numbers(arcs, depth))
}

fn arc_numbers(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) if depth > 0 => items.iter().all(|item| arc_numbers(item, depth - 1)),
        value => depth == 0 && value.is_i64(),
    }
}

fn kind(value: &Value) -> Option<&str> {
    value.as_object()?.get("type")?.as_str()
}

fn is_feature(value: &Value) -> bool {
    kind(value) == Some("Feature")
        && value.get("geometry").is_some_and(|geometry| geometry.is_null() || is_geometry(geometry))
        && value.get("properties").is_some_and(|properties| properties.is_null() || properties.is_object())
}

fn is_geometry(value: &Value) -> bool {
    let depth = match kind(value) {
        Some("Point") => 0,
        Some("MultiPoint") => 1,
        Some("LineString") => return coordinates(value, 1) && size(value) != Some(1),
        Some("MultiLineString") => 2,
        Some("Polygon") => return coordinates(value, 2) && value.get("coordinates").is_some_and(has_closed_rings),
        Some("MultiPolygon") => {
            let polygons = value.get("coordinates").and_then(Value::as_array);
            return coordinates(value, 3) && polygons.is_some_and(|polygons| polygons.iter().all(has_closed_rings));
        }
        Some("GeometryCollection") => {
            let parts = value.get("geometries").and_then(Value::as_array);
            return parts.is_some_and(|parts| parts.iter().all(is_geometry));
        }
        _ => return false,
    };
    coordinates(value, depth)
}

/// The rings of a polygon end where they begin and have at least four positions (RFC 7946, 3.1.6).
fn has_closed_rings(polygon: &Value) -> bool {
    polygon.as_array().is_some_and(|rings| {
        rings.iter().all(|ring| ring.as_array().is_some_and(|ring| ring.len() >= 4 && ring.first() == ring.last()))
    })
}

fn size(value: &Value) -> Option<usize> {
    value.get("coordinates").and_then(Value::as_array).map(Vec::len)
}

fn coordinates(value: &Value, depth: usize) -> bool {
    value.get("coordinates").is_some_and(|coordinates| positions(coordinates, depth))
}

fn positions(value: &Value, depth: usize) -> bool {
    let Some(items) = value.as_array() else { return false };
    if depth == 0 {
        // An empty position is how RFC 7946 writes a geometry without one.
        return items.is_empty() || items.len() >= 2 && items.iter().all(Value::is_number);
    }
    items.iter().all(|item| positions(item, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_on_the_globe() {
        assert_eq!(point_text("117.15, -0.50"), Some((117.15, -0.5)));
        for text in ["181,0", "0,91", "117.15", "117.15 -0.5", "lon,lat", "117.15,-0.5,3", "NaN,0"] {
            assert_eq!(point_text(text), None, "{text}");
        }
    }

    #[test]
    fn geojson_is_checked_to_its_coordinates() {
        let ok = |text: &str| is_geojson(&serde_json::from_str(text).unwrap());
        assert!(ok(r#"{"type":"Point","coordinates":[117.1,-0.5]}"#));
        assert!(ok(r#"{"type":"FeatureCollection","features":[]}"#));
        assert!(ok(r#"{"type":"Feature","geometry":null,"properties":{}}"#));
        assert!(!ok(r#"{"type":"Point","coordinates":["a",1]}"#));
        assert!(!ok(r#"{"type":"Pt"}"#));
        assert!(!ok(r#"{"type":"Polygon","coordinates":[[1,2]]}"#));
        assert!(ok(r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}"#));
        assert!(!ok(r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,0]]]}"#));
        assert!(!ok(r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,1]]]]}"#));
        assert!(ok(r#"{"type":"Point","coordinates":[1,2,300]}"#));
        assert!(!ok(r#"{"type":"Point","coordinates":[1]}"#));
    }

    #[test]
    fn topojson_is_a_topology_or_a_geometry_of_arcs() {
        let ok = |text: &str| is_topojson(&serde_json::from_str(text).unwrap());
        assert!(ok(r#"{"type":"Topology","objects":{"a":{"type":"Polygon","arcs":[[0,-1]]}},"arcs":[[[0,0],[1,1]]]}"#));
        assert!(ok(r#"{"type":"LineString","arcs":[42]}"#));
        assert!(ok(r#"{"type":"Topology","objects":{"a":{"type":null}},"arcs":[]}"#));
        assert!(!ok(r#"{"type":"Topology","objects":{"a":1},"arcs":[]}"#));
        assert!(!ok(r#"{"type":"LineString","arcs":["a"]}"#));
        assert!(!ok(r#"{"type":"LineString","coordinates":[[0,0],[1,1]]}"#));
        assert!(!ok("{}"));
    }
}
