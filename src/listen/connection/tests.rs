use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::*;

/// A client, and what the server has of its connection.
async fn connected() -> (TcpStream, TcpStream, Watch) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    let watch = Watch {
        peer,
        limits: Limits {
            rest_after: Duration::from_millis(1),
            ..Limits::usual()
        },
        shutdown: CancellationToken::new(),
        activity: Activity::new(),
    };
    (client, server, watch)
}

/// Answers with the path.
async fn echo(request: Request<Body>, _: SocketAddr) -> Response<Body> {
    Response::new(body::full(request.uri().path().to_owned()))
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "it was closed");
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_connection_that_is_quiet_rests_and_wakes_for_the_next_request() {
    let (mut client, server, watch) = connected().await;
    let mut stream = Patient::new(server, &watch.limits, watch.activity.clone());
    let mut service = answering(Arc::new(echo), None, &watch);
    for request in [
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(watch.wakes(&mut stream).await);
        (stream, service) = serve(stream, service, &watch).await.expect("it rests");
        let path = request.split(' ').nth(1).unwrap();
        assert!(read_until(&mut client, path).await.starts_with("HTTP/1.1 200 OK"));
    }
    drop(client);
    assert!(watch.wakes(&mut stream).await);
    assert!(serve(stream, service, &watch).await.is_none());
}

#[tokio::test]
async fn what_was_read_of_the_next_request_is_not_lost_when_a_connection_rests() {
    let (mut client, server, watch) = connected().await;
    let stream = Patient::new(server, &watch.limits, watch.activity.clone());
    let service = answering(Arc::new(echo), None, &watch);
    let first = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHo";
    client.write_all(first.as_bytes()).await.unwrap();
    let (mut stream, service) = serve(stream, service, &watch).await.expect("it rests");
    assert!(read_until(&mut client, "/1").await.starts_with("HTTP/1.1 200 OK"));
    assert!(watch.wakes(&mut stream).await);
    let wakes = async {
        client.write_all(b"st: a\r\n\r\n").await.unwrap();
        read_until(&mut client, "/2").await
    };
    let (served, answer) = tokio::join!(serve(stream, service, &watch), wakes);
    assert!(served.is_some());
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_connection_at_rest_ends_when_the_listener_stops() {
    let (mut client, server, watch) = connected().await;
    client.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let stream = Patient::new(server, &watch.limits, watch.activity.clone());
    let served = serve(stream, answering(Arc::new(echo), None, &watch), &watch).await;
    let (mut stream, _) = served.expect("it rests");
    watch.shutdown.cancel();
    assert!(!watch.wakes(&mut stream).await);
    let mut read = String::new();
    client.read_to_string(&mut read).await.unwrap();
    assert!(read.ends_with("/1"), "{read}");
}
