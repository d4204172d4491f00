package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func call(method, path, body string) *http.Response {
	ask, _ := http.NewRequest(method, os.Getenv("GATEWAY_URL")+path, strings.NewReader(body))
	ask.Header = http.Header{"Authorization": {"Bearer " + os.Getenv("GATEWAY_KEY")}, "Content-Type": {"application/json"}}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil || answer.StatusCode >= 300 {
		log.Fatal(err, answer)
	}
	return answer
}

func main() {
	if os.Getenv("GATEWAY_URL") == "" || os.Getenv("GATEWAY_KEY") == "" {
		log.Fatal("set GATEWAY_URL and GATEWAY_KEY")
	}
	job := `{"kind": "personal_link", "region": "eu", "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11",
		"record": {"Email": "joe.doe@example.com"}, "idempotency_key": "ticket-991"}`
	io.Copy(os.Stdout, call("GET", call("POST", "/v1/jobs", job).Header.Get("Location")+"?wait=30", "").Body)
}
