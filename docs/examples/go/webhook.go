package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	secret, _ := base64.StdEncoding.DecodeString(os.Getenv("WEBHOOK_SECRET")[6:])
	log.Fatal(http.ListenAndServe("127.0.0.1:8000", http.HandlerFunc(func(answer http.ResponseWriter, call *http.Request) {
		body, _ := io.ReadAll(call.Body)
		sent, _ := strconv.ParseInt(call.Header.Get("webhook-timestamp"), 10, 64)
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%d.%s", call.Header.Get("webhook-id"), sent, body)
		expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, one := range strings.Fields(call.Header.Get("webhook-signature")) {
			if hmac.Equal([]byte(one), expected) && time.Since(time.Unix(sent, 0)).Abs() < 5*time.Minute {
				fmt.Println(call.Header.Get("webhook-id"), string(body))
				return // with 200
			}
		}
		answer.WriteHeader(400)
	})))
}
