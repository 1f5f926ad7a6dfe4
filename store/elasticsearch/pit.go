package elasticsearch

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// keepAlive is how long a point in time is kept between two pages: as long as
// somebody may take for one of them.
const keepAlive = "5m"

// hold keeps the state of the indices for the pages to come. A server without
// points in time goes on in the total order of records, which is stable: what is
// written meanwhile may or may not be seen, and nothing is seen twice.
func (c *cursor) hold(ctx context.Context) error {
	r := request{method: "POST", path: "/" + c.s.readAlias() + "/_pit", query: "keep_alive=" + keepAlive}
	if c.s.server.open {
		r.path, r.query = "/"+c.s.readAlias()+"/_search/point_in_time", "allow_partial_pit_creation=false&keep_alive="+keepAlive
	}
	a, err := c.s.client.do(ctx, r)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusForbidden:
		return nil // the server has none, or not for this user
	default:
		return failed("hold a state", a)
	}
	var got struct {
		ID  string `json:"id"`
		PIT string `json:"pit_id"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return garbled(err)
	}
	c.pit = got.ID + got.PIT
	return nil
}

// release lets go of the state, also when the walk was given up.
func (c *cursor) release(ctx context.Context) {
	if c.pit == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r := request{method: "DELETE", path: "/_pit", body: encoded(object{"id": c.pit}), once: true}
	if c.s.server.open {
		r.path, r.body = "/_search/point_in_time", encoded(object{"pit_id": []string{c.pit}})
	}
	_, _ = c.s.client.do(ctx, r) // it ends by itself
	c.pit = ""
}
