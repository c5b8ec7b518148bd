//! flow
use simpul_tests::Demo;

#[tokio::test(flavor = "multi_thread")]
async fn harness_works() {
    let demo = Demo::shared();
    let producer = demo.client("kecamatan-produsen");
    println!("{}", producer.get("/v1/datasets").await.wants(200).text());
    println!("{:?}", demo.audit_entries("muara-badak", "action=datasets.list").await.len());
    println!("{}", demo.metric("muara-badak", "simpul_requests_total", &[]).await);
    let c = demo.enroll("provinsi", "64.uji", "uji", "consumer").await;
    demo.agree(&c, "penduduk-wilayah", &["read"], serde_json::json!({})).await;
    println!("{}", c.get("/v1/datasets/penduduk-wilayah/records?limit=2").await.wants(200).text());
    println!("{:?}", demo.simpul(["routes", "--json"]).await.stdout.len());
}
