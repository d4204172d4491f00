package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func call(method, path, body string) *http.Response {
	request, _ := http.NewRequest(method, os.Getenv("GATEWAY_URL")+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("GATEWAY_KEY"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode >= 300 {
		log.Fatal(err, answer)
	}
	return answer
}

func main() {
	job := `{"kind": "personal_link", "region": "eu", "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11",
		"record": {"Email": "joe.doe@example.com"}, "idempotency_key": "ticket-991"}`
	io.Copy(os.Stdout, call("GET", call("POST", "/v1/jobs", job).Header.Get("Location")+"?wait=30", "").Body)
}
