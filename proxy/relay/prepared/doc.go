// Package prepared knows prepared statements apart from who prepares them: what
// makes two of them one, how much memory their texts take, and which of them a
// server has. It knows no client, and none of a client's names.
package prepared
