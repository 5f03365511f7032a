# %% tour.quiz
answer("tour", q1="b", q2="c", q3="a", q4="b", q5="c")
