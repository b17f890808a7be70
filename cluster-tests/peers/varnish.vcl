# Varnish as a cache in front of one origin, as `cluster-bench cache` runs it on one core. @NAMES@ are filled in. Everything else is its
# own: its documentation advises to leave the parameters as they are, but for the number of threads, which the benchmark gives.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@origin@";
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
