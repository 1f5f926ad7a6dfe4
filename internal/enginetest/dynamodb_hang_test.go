package enginetest

import (
	"os"
	"testing"
	"time"
)

func TestDynamoDBHangAndRestart(t *testing.T) {
	s := StartDynamoDB(t, DynamoDBOptions{Durable: true})
	url := s.URL()
	if !answers(t, url) {
		t.Fatal("it does not answer as DynamoDB does")
	}
	if err := s.Hang(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan bool)
	go func() { answered <- answers(t, url) }()
	select {
	case <-answered:
		t.Error("it answers while it hangs")
	case <-time.After(200 * time.Millisecond): // nothing can show that no answer comes
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if !<-answered {
		t.Error("it did not answer when it went on")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !answers(t, url) || s.URL() != url {
		t.Error("it does not answer where it did before")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Hang(); err == nil {
		t.Error("what does not run cannot hang")
	}
	if _, err := os.Stat(s.folder.path); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
}
